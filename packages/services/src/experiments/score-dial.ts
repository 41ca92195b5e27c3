import { countsItems, type DialScore, itemScores, nextDial } from '@moraine/contract/experiments';
import { cancelEvaluation } from '../evaluation/cancel-evaluation.js';
import { createEvaluation } from '../evaluation/create-evaluation.js';
import type { Actor, Services } from '../ground/context.js';
import type { ExperimentRow } from './experiment-row.js';
import { loadOutcome } from './load-outcome.js';

/**
 * Scores the final runs at shares of their updates, as the experiment asks, then test rows item by item where few seeds give no interval: queues what is due, each score once by its key.
 * Returns whether there is nothing left to wait for. An evaluation that failed is left out: its run has no dial at that share.
 */
export async function scoreDial(s: Services, actor: Actor, row: ExperimentRow): Promise<boolean> {
  const { request } = row;
  if (request.lambdas.length === 0 && !countsItems(request)) return true;
  const outcome = await loadOutcome(s, actor, row.id);
  const there = await s.db.evaluationTask.findMany({
    where: { experimentId: row.id },
    select: { idempotencyKey: true, task: { select: { finishedAt: true } } },
  });
  const known = new Set(there.map(({ idempotencyKey }) => idempotencyKey));
  const isAllIn = there.every(({ task }) => task.finishedAt !== null);
  const isNew = (score: DialScore): boolean => !known.has(keyOf(row, score));
  const ofDial = nextDial(outcome, request).filter(isNew);
  // Items are of what is chosen once all of the dial is known.
  const due = ofDial.length > 0 || !isAllIn ? ofDial : itemScores(outcome, request).filter(isNew);
  for (const score of due) await start(s, actor, row, score);
  return due.length === 0 && isAllIn;
}

const keyOf = ({ id }: ExperimentRow, { run_id, lambda, file_id }: DialScore): string =>
  `${id}/${run_id ?? 'base'}/${lambda}/${file_id}`;

async function start(s: Services, actor: Actor, row: ExperimentRow, score: DialScore): Promise<void> {
  const { priority, pool } = row.request;
  const body = {
    ...(await modelOf(s, row, score)),
    suite: 'file',
    file: score.file_id,
    priority,
    ...(pool === undefined ? {} : { pool }),
  };
  await createEvaluation(s, actor, body, { idempotencyKey: keyOf(row, score) }, row.id);
}

async function modelOf(s: Services, { request }: ExperimentRow, { run_id, lambda }: DialScore) {
  if (run_id === null) return { model: request.model };
  const { fineTunedModel } = await s.db.run.findUniqueOrThrow({
    where: { id: run_id },
    select: { fineTunedModel: true },
  });
  return { model: fineTunedModel ?? '', lambda };
}

/** Cancels the scores that have not ended. */
export async function cancelDial(s: Services, actor: Actor, experimentId: string): Promise<void> {
  const open = await s.db.evaluationTask.findMany({
    where: { experimentId, task: { finishedAt: null } },
    select: { id: true },
  });
  for (const { id } of open) await cancelEvaluation(s, actor, id);
}
