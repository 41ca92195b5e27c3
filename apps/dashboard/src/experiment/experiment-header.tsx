import type { ExperimentObject } from '@moraine/contract';
import { ProgressBar } from '../components/bits.js';
import { RunStateBadge } from '../components/state.js';
import { isOver } from './experiment-status.js';

/** What it is called, how far it is, and why it stands still where it does. */
export function ExperimentHeader({ experiment }: { experiment: ExperimentObject }) {
  const { name, model, status, reason, runs, cells } = experiment;
  return (
    <header className="run-header">
      <div className="run-title">
        <RunStateBadge run={{ status, state: null, verdict: null }} />
        <h1 className="clip" title={name}>
          {name}
        </h1>
        <span className="weak clip" title={model}>
          {model}
        </span>
      </div>
      {reason && <p className={status === 'failed' ? 'tone-bad' : 'weak'}>{reason}</p>}
      {!isOver(status) && <Progress runs={runs} cells={cells} />}
    </header>
  );
}

/** Steps of the runs that there are count too, so that it moves between two ends. */
function Progress({ runs, cells }: Pick<ExperimentObject, 'runs' | 'cells'>) {
  const total = Math.max(runs.least, runs.made);
  const done = cells.reduce(
    (sum, { status, step, steps }) => sum + (isDone(status) ? 1 : step / Math.max(1, steps)),
    0,
  );
  const most = runs.most > total ? `, ${runs.most} at most` : '';
  const words = `${runs.ended} of ${total} runs have ended${most}`;
  return (
    <p>
      <ProgressBar share={done / Math.max(1, total)} label={words} /> <span className="num weak">{words}</span>
    </p>
  );
}

const isDone = (status: string | null): boolean =>
  status === 'succeeded' || status === 'failed' || status === 'cancelled';
