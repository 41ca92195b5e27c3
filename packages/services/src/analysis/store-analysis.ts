import { type AnalysisAsk, newId } from '@moraine/contract';
import type { Prisma } from '../ground/db.js';
import { queryableOf } from '../ground/transaction.js';
import { holdSubject, type Tuned } from '../training/find-subject.js';
import { type EventRow, insertEvent } from '../work/record-event.js';
import { analyseKind } from './analyse-kind.js';

/** An analysis that is to be stored, with its task. */
export interface NewAnalysis {
  projectId: string;
  model: string;
  base: { id: string; name: string };
  tuned: Tuned | null;
  lambda: number;
  ask: AnalysisAsk;
  task: { pool: string; priority: number; maxAttempts: number };
  metadata?: Record<string, string>;
  /** How a repeated request finds it. */
  found?: { requestHash: string; keyId: string | null; idempotencyKey: string | null };
  /** The run that asks for it, and its place among the analyses of that run. */
  madeFor?: { runId: string; place: number };
}

export interface StoredAnalysis {
  task: { id: string; pool: string; priority: number; submission: number };
  event: EventRow;
}

/** Stores the task, the analysis beside it and its first event. What is analysed is locked until then. @throws AppError `not_found`. */
export async function storeAnalysis(
  tx: Prisma.TransactionClient,
  { projectId, model, base, tuned, lambda, ask, metadata = {}, madeFor, ...rest }: NewAnalysis,
): Promise<StoredAnalysis> {
  await holdSubject(tx, model, tuned);
  const common = { id: newId('analysisTask'), projectId };
  const task = { ...common, kind: analyseKind.name, submission: 1, status: 'queued', ...rest.task };
  await tx.task.create({ data: task });
  await tx.analysisTask.create({
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
      lambda,
      kind: ask.kind,
      ask,
      fileId: fileOf(ask),
      metadata,
      requestHash: '',
      ...rest.found,
      forRunId: madeFor?.runId ?? null,
      place: madeFor?.place ?? null,
    },
  });
  const of = { projectId, taskId: task.id, attempt: 0 };
  const by = madeFor ? `, for ${madeFor.runId}` : '';
  const event = await insertEvent(queryableOf(tx), of, { level: 'info', message: `Created analysis: ${task.id}${by}` });
  return { task, event };
}

/** The file that an analysis reads; null where it reads none. */
export const fileOf = (ask: AnalysisAsk): string | null => (ask.kind === 'canaries' ? ask.file : null);
