import { type EvaluationMessage, isTerminal } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { followRuns } from '../ground/follow-runs.js';
import { lastEventId, START } from '../ground/positions.js';
import { getEvaluation } from './get-evaluation.js';
import { listEvaluationItems } from './list-evaluation-items.js';

export interface FollowEvaluation {
  /** Items that the reader has already. */
  from: number;
  /** Each item too, as it is scored; with all its samples where they are asked for. */
  include?: 'items' | 'samples';
}

/** A message, and how many items the reader has with it: its place, from which a later reader goes on. */
export interface EvaluationNews {
  items: number;
  message: EvaluationMessage;
}

const PAGE = 100;
/** Why an evaluation waits is told to nobody: it is looked at. */
const QUEUED_MS = 2_000;
/** What was told while Redis was away. */
const RUNNING_MS = 10_000;

/**
 * What becomes of an evaluation: the evaluation itself at once and whenever it changes, before it the items that came meanwhile. All is read from Postgres; what its worker
 * says in Redis only wakes the reading. Nothing follows the evaluation that has ended, and the stream stays until `signal` ends it.
 * @throws AppError `not_found`.
 */
export async function* followEvaluation(
  s: Services,
  actor: Actor,
  id: string,
  { from, include }: FollowEvaluation,
  signal: AbortSignal,
): AsyncGenerator<EvaluationNews, void, undefined> {
  const over = new AbortController();
  const alarm = openAlarm(signal);
  const position = (await lastEventId(s, id)) ?? START;
  const listening = wakeOn(s, id, position, alarm.ring, AbortSignal.any([signal, over.signal])).catch(() => undefined);
  let had = from;
  let said = '';
  try {
    while (!signal.aborted) {
      const evaluation = await getEvaluation(s, actor, id);
      const { progress, status } = evaluation;
      while (include !== undefined && had < progress.items) {
        const query = { limit: PAGE, after: had - 1, ...(include === 'samples' ? { include } : {}) };
        const { data } = await listEvaluationItems(s, actor, id, query);
        had = (data.at(-1)?.index ?? progress.items) + 1;
        yield { items: had, message: { event: 'items', data } };
      }
      had = Math.max(had, progress.items);
      const now = JSON.stringify(evaluation);
      if (now !== said) yield { items: had, message: { event: 'evaluation', data: evaluation } };
      said = now;
      await alarm.wait(isTerminal(status) ? null : status === 'queued' ? QUEUED_MS : RUNNING_MS);
    }
  } finally {
    over.abort();
    await listening;
  }
}

/** Rings for everything that is said of a task. */
async function wakeOn(s: Services, id: string, position: string, ring: () => void, signal: AbortSignal): Promise<void> {
  for await (const _ of followRuns(s, new Map([[id, position]]), signal)) ring();
}

/** Waits until it rings, until a time is over, or until the signal ends it; a ring that nobody waited for ends the next wait. */
function openAlarm(signal: AbortSignal) {
  let hasRung = false;
  let wake: () => void = () => undefined;
  const ring = (): void => {
    hasRung = true;
    wake();
  };
  signal.addEventListener('abort', ring);
  return {
    ring,
    /** @param ms null: without an end. */
    async wait(ms: number | null): Promise<void> {
      if (!hasRung) {
        let timer: ReturnType<typeof setTimeout> | undefined;
        await new Promise<void>((resolve) => {
          wake = resolve;
          if (ms !== null) timer = setTimeout(resolve, ms);
        });
        clearTimeout(timer);
      }
      hasRung = false;
    },
  };
}
