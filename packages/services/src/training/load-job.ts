import { AppError, type RunConfig, storedRunConfig } from '@moraine/contract';
import type { Services } from '../ground/context.js';

export interface JobFile {
  id: string;
  name: string;
  blobKey: string;
  sha256: string;
}

export interface JobCheckpoint {
  step: number;
  blobKey: string;
  sizeBytes: number;
  sha256: string;
  /** Step of the best checkpoint that this one knows of. */
  bestStep: number | null;
}

/** What a worker must have at hand to execute an attempt: everything by its key in blob storage. */
export interface Job {
  projectId: string;
  config: RunConfig;
  base: { name: string; blobPrefix: string; sha256: string };
  /** The adapter that it starts from; null: a fresh one. */
  start: { blobPrefix: string; sha256: string } | null;
  trainingFile: JobFile;
  /** Files of the configuration's data_mix after the training file. */
  mixFiles: JobFile[];
  validationFile: JobFile | null;
  evaluationFiles: JobFile[];
  /** The step that it is held at; null: none. */
  holdStep: number | null;
  /** Steps at which the search that it is of compares it with others; none where it is of none. */
  rungs: number[];
  /** Newest first; the attempt goes on from the first one that is whole. */
  checkpoints: JobCheckpoint[];
}

interface RunRow {
  project_id: string;
  config: RunConfig;
  hold_step: number | null;
  rungs: number[] | null;
  base: Job['base'];
  start: Job['start'];
  training_file_id: string;
  validation_file_id: string | null;
}

/** Of `runs r`: those of its arm's plan, where it is a run of the search. */
const RUNGS = `(SELECT a -> 'search' -> 'rungs' FROM experiments e, jsonb_array_elements(e.plan -> 'arms') a
  WHERE e.id = r.experiment_id AND r.experiment_phase = 'search' AND a ->> 'name' = r.experiment_arm)`;

/** Reads what the attempt needs. @throws AppError `not_found` when a file of the run is gone. */
export async function loadJob(s: Services, runId: string): Promise<Job> {
  const [runs, checkpoints] = await Promise.all([
    s.pg.query<RunRow>(
      `SELECT r.project_id, r.config, r.hold_step, ${RUNGS} AS rungs, r.training_file_id, r.validation_file_id,
         json_build_object('name', b.name, 'blobPrefix', b.blob_prefix, 'sha256', b.sha256) AS base,
         (SELECT json_build_object('blobPrefix', x.blob, 'sha256', x.sha256) FROM (
            SELECT blob_key AS blob, sha256 FROM checkpoints WHERE id = r.start_checkpoint_id
            UNION ALL SELECT blob_prefix, sha256 FROM uploaded_adapters WHERE id = r.start_adapter_id) x) AS start
       FROM runs r JOIN bases b ON b.id = r.base_id WHERE r.id = $1`,
      [runId],
    ),
    s.pg.query<JobCheckpoint>(
      `SELECT step, blob_key AS "blobKey", size_bytes::float8 AS "sizeBytes", sha256, best_step AS "bestStep" FROM checkpoints WHERE run_id = $1 AND deleted_at IS NULL ORDER BY step DESC`,
      [runId],
    ),
  ]);
  const run = runs.rows[0];
  if (!run) throw new AppError('not_found', `Run ${runId} is gone.`);
  const evaluationIds = run.config.evaluation.files;
  const mixIds = (run.config.data_mix ?? []).slice(1).map(({ file_id }) => file_id);
  const ids = [
    run.training_file_id,
    ...mixIds,
    ...(run.validation_file_id ? [run.validation_file_id] : []),
    ...evaluationIds,
  ];
  const { rows: files } = await s.pg.query<JobFile>(
    `SELECT id, filename AS name, blob_key AS "blobKey", sha256 FROM files WHERE id = ANY($1) AND project_id = $2 AND deleted_at IS NULL`,
    [ids, run.project_id],
  );
  const fileOf = (id: string): JobFile => {
    const file = files.find((one) => one.id === id);
    if (!file)
      throw new AppError('not_found', `File ${id} of run ${runId} is gone.`, {
        hint: 'Upload it again and submit the run again.',
      });
    return file;
  };
  return {
    projectId: run.project_id,
    config: storedRunConfig(run.config),
    base: run.base,
    start: run.start,
    trainingFile: fileOf(run.training_file_id),
    mixFiles: mixIds.map(fileOf),
    validationFile: run.validation_file_id ? fileOf(run.validation_file_id) : null,
    evaluationFiles: evaluationIds.map(fileOf),
    holdStep: run.hold_step,
    rungs: run.rungs ?? [],
    checkpoints: checkpoints.rows,
  };
}
