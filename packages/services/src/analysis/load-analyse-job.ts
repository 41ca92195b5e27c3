import { type AnalysisAsk, AppError } from '@moraine/contract';
import type { AttemptToken, Services } from '../ground/context.js';
import { goneFor, placeSubject, type SubjectPlace } from '../training/find-subject.js';
import type { JobFile } from '../training/load-job.js';

/** What a worker must have at hand to analyse a model: everything by its key in blob storage. */
export interface AnalyseJob extends SubjectPlace {
  model: string;
  step: number | null;
  lambda: number;
  ask: AnalysisAsk;
  /** The file of `ask`; null where it names none. */
  file: JobFile | null;
  /** Rows that are stored: it goes on after them. */
  done: number;
}

/**
 * Reads what the attempt of an analysis needs.
 * @throws AppError `not_found` when its model or its file is gone; `conflict` when the run has written its checkpoint anew since.
 */
export async function loadAnalyseJob(s: Services, { taskId }: AttemptToken): Promise<AnalyseJob> {
  const task = { noun: 'analysis', id: taskId };
  const row = await s.db.analysisTask.findUnique({ where: { id: taskId } });
  if (!row) throw new AppError('internal', `Analysis ${taskId} has no row.`);
  const { model, tunedStep: step, lambda, fileId: id, projectId, done } = row;
  const place = await placeSubject(s, row, task);
  const ask = row.ask as unknown as AnalysisAsk;
  if (id === null) return { ...place, model, step, lambda, ask, file: null, done };
  const file = await s.db.file.findFirst({ where: { id, projectId, deletedAt: null } });
  if (!file) throw goneFor(task, `File ${id}`);
  const { filename: name, blobKey, sha256 } = file;
  return { ...place, model, step, lambda, ask, file: { id, name, blobKey, sha256 }, done };
}
