import { newId } from '@moraine/contract';
import { resolveSampling } from '@moraine/contract/suites';
import { requireSuite } from '@moraine/data';
import type { Prisma } from '../ground/db.js';
import { queryableOf } from '../ground/transaction.js';
import type { AskedSuite } from '../training/check-suite.js';
import { holdSubject, type Tuned } from '../training/find-subject.js';
import { type EventRow, insertEvent } from '../work/record-event.js';
import { evaluateKind } from './evaluate-kind.js';

/** An evaluation that is to be stored, with its task. */
export interface NewEvaluation {
  projectId: string;
  model: string;
  base: { id: string; name: string };
  tuned: Tuned | null;
  asked: AskedSuite & { lambda?: number | undefined };
  task: { pool: string; priority: number; maxAttempts: number };
  metadata?: Record<string, string>;
  /** How a repeated request finds it. */
  found?: { requestHash: string; keyId: string | null; idempotencyKey: string | null };
  /** The run that asks for it, and its place among the suites of that run. */
  madeFor?: { runId: string; place: number };
  /** The experiment that asks for it. */
  experimentId?: string | null;
}

export interface StoredEvaluation {
  task: { id: string; pool: string; priority: number; submission: number };
  event: EventRow;
}

/** Stores the task, the evaluation beside it and its first event. What is evaluated is locked until then. @throws AppError `not_found`. */
export async function storeEvaluation(
  tx: Prisma.TransactionClient,
  { projectId, model, base, tuned, asked, metadata = {}, madeFor, ...rest }: NewEvaluation,
): Promise<StoredEvaluation> {
  await holdSubject(tx, model, tuned);
  const sampling = resolveSampling(asked.sampling, requireSuite(asked.suite));
  const common = { id: newId('evaluationTask'), projectId };
  const task = { ...common, kind: evaluateKind.name, submission: 1, status: 'queued', ...rest.task };
  await tx.task.create({ data: task });
  await tx.evaluationTask.create({
    data: {
      ...common,
      model,
      baseName: base.name,
      baseId: base.id,
      runId: tuned?.runId ?? null,
      checkpointId: tuned?.checkpointId ?? null,
      adapterId: tuned?.adapterId ?? null,
      tunedSha256: tuned?.sha256 ?? null,
      tunedStep: tuned?.step ?? null,
      lambda: asked.lambda ?? 1,
      suite: asked.suite,
      fileId: asked.file,
      examplesFileId: asked.examples ?? null,
      fewshot: asked.fewshot ?? null,
      itemsMax: asked.limit ?? null,
      seed: asked.seed ?? null,
      ...(sampling === null ? {} : { sampling }),
      metadata,
      requestHash: '',
      ...rest.found,
      forRunId: madeFor?.runId ?? null,
      suitePlace: madeFor?.place ?? null,
      experimentId: rest.experimentId ?? null,
    },
  });
  const of = { projectId, taskId: task.id, attempt: 0 };
  const by = madeFor ? `, for ${madeFor.runId}` : '';
  const event = await insertEvent(queryableOf(tx), of, {
    level: 'info',
    message: `Created evaluation: ${task.id}${by}`,
  });
  return { task, event };
}
