import { AppError } from '@moraine/contract';
import type { AttemptToken, Services } from '../ground/context.js';
import type { JobFile } from '../training/load-job.js';

/** What a worker must have at hand to evaluate a model: everything by its key in blob storage. */
export interface EvaluateJob {
  base: { name: string; blobPrefix: string; sha256: string };
  /** What was trained on it; null: the base alone. */
  tuned: { blobPrefix: string; sha256: string } | null;
  lambda: number;
  suite: string;
  file: JobFile;
  examplesFile: JobFile | null;
  fewshot: number | null;
  limit: number | null;
  seed: number | null;
  /** Items that are stored: it goes on after them. */
  done: number;
}

type Row = Omit<EvaluateJob, 'base' | 'file' | 'examplesFile'> & {
  model: string;
  base: EvaluateJob['base'] | null;
  tunedSha256: string | null;
  projectId: string;
  fileId: string;
  examplesFileId: string | null;
};

const JOB = `
  SELECT e.model, e.lambda, e.suite, e.fewshot, e.items_max AS "limit", e.seed, e.done, e.project_id AS "projectId", e.file_id AS "fileId",
    e.examples_file_id AS "examplesFileId", e.tuned_sha256 AS "tunedSha256",
    (SELECT json_build_object('name', b.name, 'blobPrefix', b.blob_prefix, 'sha256', b.sha256) FROM bases b WHERE b.id = e.base_id) AS base,
    (SELECT json_build_object('blobPrefix', x.blob, 'sha256', x.sha256) FROM (
       SELECT blob_key AS blob, sha256 FROM checkpoints WHERE id = e.checkpoint_id AND deleted_at IS NULL
       UNION ALL SELECT blob_prefix, sha256 FROM uploaded_adapters WHERE id = e.adapter_id AND deleted_at IS NULL) x) AS tuned
  FROM evaluation_tasks e WHERE e.id = $1`;

/**
 * Reads what the attempt of an evaluation needs.
 * @throws AppError `not_found` when its model or a file is gone; `conflict` when the run has written its checkpoint anew since.
 */
export async function loadEvaluateJob(s: Services, { taskId }: AttemptToken): Promise<EvaluateJob> {
  const { rows } = await s.pg.query<Row>(JOB, [taskId]);
  const [row] = rows;
  if (!row?.base) throw gone(`The base of evaluation ${taskId} is gone.`);
  const { model, base, tuned, tunedSha256, projectId, fileId, examplesFileId, ...asked } = row;
  if (tunedSha256 !== null && tuned === null) throw gone(`The adapter '${model}' of evaluation ${taskId} is gone.`);
  if (tuned !== null && tuned.sha256 !== tunedSha256)
    throw new AppError('conflict', `'${model}' is not what it was when the evaluation was created.`, {
      hint: 'Its run went back and wrote the checkpoint anew: create the evaluation again.',
    });
  const fileOf = async (id: string): Promise<JobFile> => {
    const file = await s.db.file.findFirst({ where: { id, projectId, deletedAt: null } });
    if (!file) throw gone(`File ${id} of evaluation ${taskId} is gone.`);
    return { id, name: file.filename, blobKey: file.blobKey, sha256: file.sha256 };
  };
  const examplesFile = examplesFileId === null ? null : await fileOf(examplesFileId);
  return { ...asked, base, tuned, file: await fileOf(fileId), examplesFile };
}

const gone = (message: string): AppError =>
  new AppError('not_found', message, { hint: 'Bring it here again and create the evaluation again.' });
