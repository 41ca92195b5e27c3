import type { RunObject, RunState, RunStatus, WorkerStatus } from '@moraine/contract';
import { Icon, type IconName } from './icon.js';

interface Look {
  word: string;
  icon: IconName;
  tone: 'idle' | 'active' | 'good' | 'warn' | 'bad';
}

const STATUS: Record<RunStatus, Look> = {
  validating_files: { word: 'Validating', icon: 'queued', tone: 'idle' },
  queued: { word: 'Queued', icon: 'queued', tone: 'idle' },
  running: { word: 'Running', icon: 'running', tone: 'active' },
  paused: { word: 'Paused', icon: 'paused', tone: 'idle' },
  succeeded: { word: 'Succeeded', icon: 'succeeded', tone: 'good' },
  failed: { word: 'Failed', icon: 'failed', tone: 'bad' },
  cancelled: { word: 'Cancelled', icon: 'cancelled', tone: 'idle' },
};

const STATE: Record<RunState, Look> = {
  provisioning: { word: 'Provisioning', icon: 'running', tone: 'active' },
  lost_contact: { word: 'Lost contact', icon: 'warning', tone: 'warn' },
  draining: { word: 'Draining', icon: 'saving', tone: 'warn' },
  checkpointing: { word: 'Saving', icon: 'saving', tone: 'active' },
  pausing: { word: 'Pausing', icon: 'paused', tone: 'idle' },
  cancelling: { word: 'Cancelling', icon: 'cancelled', tone: 'idle' },
};

const WORKER: Record<WorkerStatus, Look> = {
  registering: { word: 'Registering', icon: 'queued', tone: 'idle' },
  ready: { word: 'Ready', icon: 'idle', tone: 'good' },
  busy: { word: 'Busy', icon: 'running', tone: 'active' },
  cordoned: { word: 'Cordoned', icon: 'paused', tone: 'idle' },
  draining: { word: 'Draining', icon: 'saving', tone: 'warn' },
  unhealthy: { word: 'Unhealthy', icon: 'warning', tone: 'bad' },
  lost: { word: 'Lost', icon: 'warning', tone: 'warn' },
  gone: { word: 'Gone', icon: 'cancelled', tone: 'idle' },
};

function Badge({ word, icon, tone }: Look) {
  return (
    <span className={`state tone-${tone}`}>
      <Icon name={icon} />
      <span className="clip">{word}</span>
    </span>
  );
}

type Phase = Pick<RunObject, 'status' | 'state' | 'verdict'>;

const VERDICT: Record<NonNullable<RunObject['verdict']>['code'], string> = {
  diverged: 'Diverged',
  overfitted: 'Overfitted',
};

/** The true phase of a run: its state where it has one, else its status. */
const lookOf = (run: Phase): Look => (run.state ? STATE[run.state] : STATUS[run.status]);

/** What a run is, and beside it what its losses say: a run that diverged is no plain success. */
export function RunStateBadge({ run }: { run: Phase }) {
  const look = lookOf(run);
  if (!run.verdict) return <Badge {...look} />;
  return (
    <span className="verdict" title={run.verdict.message}>
      <Badge {...look} tone={look.tone === 'good' ? 'idle' : look.tone} />
      <Badge word={VERDICT[run.verdict.code]} icon="warning" tone="bad" />
    </span>
  );
}

export const stateWord = (run: Phase): string =>
  run.verdict ? `${lookOf(run).word}, ${VERDICT[run.verdict.code].toLowerCase()}` : lookOf(run).word;

export const WorkerStateBadge = ({ status }: { status: WorkerStatus }) => <Badge {...WORKER[status]} />;

export const STATUS_WORDS: readonly [RunStatus, string][] = (Object.keys(STATUS) as RunStatus[]).map((status) => [
  status,
  STATUS[status].word,
]);
