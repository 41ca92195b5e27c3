import { AppError, type ReadAs } from '@moraine/contract';
import type { Sampling } from '@moraine/contract/suites';
import type { AttemptToken, Services } from '../ground/context.js';
import { goneFor, placeSubject, type SubjectPlace } from '../training/find-subject.js';
import type { JobFile } from '../training/load-job.js';

/** What a worker must have at hand to evaluate a model: everything by its key in blob storage. */
export interface EvaluateJob extends SubjectPlace {
  lambda: number;
  suite: string;
  file: JobFile;
  examplesFile: JobFile | null;
  fewshot: number | null;
  limit: number | null;
  seed: number | null;
  sampling: Sampling | null;
  readAs: ReadAs | null;
  /** Items that are stored: it goes on after them. */
  done: number;
}

/**
 * Reads what the attempt of an evaluation needs.
 * @throws AppError `not_found` when its model or a file is gone; `conflict` when the run has written its checkpoint anew since.
 */
export async function loadEvaluateJob(s: Services, { taskId }: AttemptToken): Promise<EvaluateJob> {
  const task = { noun: 'evaluation', id: taskId };
  const row = await s.db.evaluationTask.findUnique({ where: { id: taskId } });
  if (!row) throw new AppError('internal', `Evaluation ${taskId} has no row.`);
  const { lambda, suite, fewshot, itemsMax: limit, seed, done, projectId } = row;
  const sampling = row.sampling as Sampling | null;
  const place = await placeSubject(s, row, task);
  const fileOf = async (id: string): Promise<JobFile> => {
    const file = await s.db.file.findFirst({ where: { id, projectId, deletedAt: null } });
    if (!file) throw goneFor(task, `File ${id}`);
    return { id, name: file.filename, blobKey: file.blobKey, sha256: file.sha256 };
  };
  const examplesFile = row.examplesFileId === null ? null : await fileOf(row.examplesFileId);
  return {
    ...place,
    lambda,
    suite,
    fewshot,
    limit,
    seed,
    sampling,
    readAs: await readAsOf(s, row.experimentId),
    done,
    file: await fileOf(row.fileId),
    examplesFile,
  };
}

/** As the runs of the experiment that asks for it read their rows; null where a person does. */
async function readAsOf(s: Services, experimentId: string | null): Promise<ReadAs | null> {
  const found =
    experimentId === null
      ? null
      : await s.db.experiment.findUnique({
          where: { id: experimentId },
          select: { request: true, templateDate: true },
        });
  if (found === null) return null;
  const { fixed } = found.request as unknown as { fixed: { max_seq_len?: number; over_length?: ReadAs['overLength'] } };
  return {
    maxSeqLen: fixed.max_seq_len ?? null,
    overLength: fixed.over_length ?? 'truncate',
    templateDate: found.templateDate,
  };
}
