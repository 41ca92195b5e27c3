import { type DialScore, nextDial } from '@moraine/contract/experiments';
import { cancelEvaluation } from '../evaluation/cancel-evaluation.js';
import { createEvaluation } from '../evaluation/create-evaluation.js';
import type { Actor, Services } from '../ground/context.js';
import type { ExperimentRow } from './experiment-row.js';
import { loadOutcome } from './load-outcome.js';

/**
 * Scores the final runs at shares of their updates, as the experiment asks: queues what is due, each score once by its key. Returns whether there is nothing left to wait
 * for. An evaluation that failed is left out: its run has no dial at that share.
 */
export async function scoreDial(s: Services, actor: Actor, row: ExperimentRow): Promise<boolean> {
  if (row.request.lambdas.length === 0) return true;
  const wanted = nextDial(await loadOutcome(s, actor, row.id), row.request);
  const there = await s.db.evaluationTask.findMany({
    where: { experimentId: row.id },
    select: { idempotencyKey: true, task: { select: { finishedAt: true } } },
  });
  const known = new Set(there.map(({ idempotencyKey }) => idempotencyKey));
  const due = wanted.filter((score) => !known.has(keyOf(row, score)));
  for (const score of due) await start(s, actor, row, score);
  return due.length === 0 && there.every(({ task }) => task.finishedAt !== null);
}

const keyOf = ({ id }: ExperimentRow, { run_id, lambda, file_id }: DialScore): string =>
  `${id}/${run_id}/${lambda}/${file_id}`;

async function start(s: Services, actor: Actor, row: ExperimentRow, score: DialScore): Promise<void> {
  const { run_id, lambda, file_id: file } = score;
  const { fineTunedModel } = await s.db.run.findUniqueOrThrow({
    where: { id: run_id },
    select: { fineTunedModel: true },
  });
  const { priority, pool } = row.request;
  const body = {
    model: fineTunedModel ?? '',
    lambda,
    suite: 'file',
    file,
    priority,
    ...(pool === undefined ? {} : { pool }),
  };
  await createEvaluation(s, actor, body, { idempotencyKey: keyOf(row, score) }, row.id);
}

/** Cancels the scores that have not ended. */
export async function cancelDial(s: Services, actor: Actor, experimentId: string): Promise<void> {
  const open = await s.db.evaluationTask.findMany({
    where: { experimentId, task: { finishedAt: null } },
    select: { id: true },
  });
  for (const { id } of open) await cancelEvaluation(s, actor, id);
}
