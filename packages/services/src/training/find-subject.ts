import { AppError } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import type { Prisma } from '../ground/db.js';
import type { BaseModel } from '../ground/generated/models.js';
import { requireBase } from '../library/require-base.js';
import { findTunedCheckpoint, holdCheckpoint } from './find-start.js';

/** What was trained on a base: a checkpoint of a run, or a registered adapter. */
export interface Tuned {
  runId: string | null;
  checkpointId: string | null;
  adapterId: string | null;
  sha256: string;
  step: number | null;
}

/** What a task is about, by the name that was given: a base alone, or with what was trained on it. */
export interface Subject {
  base: BaseModel;
  tuned: (Tuned & TunedPlace) | null;
}

/**
 * A registered base, a registered adapter, the result of a run (`ft:…`, after full fine-tuning too) or one of its checkpoints.
 * @throws AppError `not_found`; `not_ready` for a base that is still being downloaded.
 */
export async function findSubject(s: Services, actor: Actor, model: string): Promise<Subject> {
  if (model.startsWith('ft:')) {
    const { run, checkpoint } = await findTunedCheckpoint(s, actor, model);
    const { id, sha256, blobKey: blobPrefix, step } = checkpoint;
    return { base: run.base, tuned: { runId: run.id, checkpointId: id, adapterId: null, sha256, blobPrefix, step } };
  }
  const uploaded = await s.db.uploadedAdapter.findFirst({
    where: { projectId: actor.projectId, name: model, deletedAt: null },
    include: { base: true },
  });
  if (!uploaded) return { base: await requireBase(s, actor, model), tuned: null };
  const { id, sha256, blobPrefix, base } = uploaded;
  return { base, tuned: { runId: null, checkpointId: null, adapterId: id, sha256, blobPrefix, step: null } };
}

/** Locks the subject of a task until that is stored; a base and an adapter are held by its references to them. */
export async function holdSubject(tx: Prisma.TransactionClient, model: string, tuned: Tuned | null): Promise<void> {
  if (tuned === null || tuned.checkpointId === null) return;
  await holdCheckpoint(tx, { model, runId: tuned.runId, checkpointId: tuned.checkpointId });
}

/** Where the files of what was trained are: their folder in blob storage. */
export interface TunedPlace {
  blobPrefix: string;
  sha256: string;
}

/** Where the files of a subject are, by their keys in blob storage. */
export interface SubjectPlace {
  base: { name: string; blobPrefix: string; sha256: string };
  /** What was trained on it; null: the base alone. */
  tuned: TunedPlace | null;
}

/** What a task keeps of its subject. */
export interface StoredSubject {
  model: string;
  baseId: string | null;
  checkpointId: string | null;
  adapterId: string | null;
  tunedSha256: string | null;
}

/** The subject as the wire has it. */
export const toSubjectFields = (
  row: Pick<StoredSubject, 'model' | 'tunedSha256'> & {
    baseName: string;
    runId: string | null;
    tunedStep: number | null;
    lambda: number;
  },
) => ({
  model: row.model,
  base: row.baseName,
  tuned: row.tunedSha256 === null ? null : { run_id: row.runId, sha256: row.tunedSha256, step: row.tunedStep },
  lambda: row.lambda,
});

const PLACE = `
  SELECT (SELECT json_build_object('name', name, 'blobPrefix', blob_prefix, 'sha256', sha256) FROM bases WHERE id = $1) AS base,
    (SELECT json_build_object('blobPrefix', x.blob, 'sha256', x.sha256) FROM (
       SELECT blob_key AS blob, sha256 FROM checkpoints WHERE id = $2 AND deleted_at IS NULL
       UNION ALL SELECT blob_prefix, sha256 FROM uploaded_adapters WHERE id = $3 AND deleted_at IS NULL) x) AS tuned`;

/**
 * Finds the files of a stored subject; `task` is how the errors call the task, "evaluation".
 * @throws AppError `not_found` where they are gone; `conflict` where the run has written its checkpoint anew since.
 */
export async function placeSubject(
  s: Services,
  { model, baseId, checkpointId, adapterId, tunedSha256 }: StoredSubject,
  task: { noun: string; id: string },
): Promise<SubjectPlace> {
  const { rows } = await s.pg.query<{ base: SubjectPlace['base'] | null; tuned: SubjectPlace['tuned'] }>(PLACE, [
    baseId,
    checkpointId,
    adapterId,
  ]);
  const { base = null, tuned = null } = rows[0] ?? {};
  if (base === null) throw goneFor(task, 'The base');
  if (tunedSha256 !== null && tuned === null) throw goneFor(task, `The adapter '${model}'`);
  if (tuned !== null && tuned.sha256 !== tunedSha256)
    throw new AppError('conflict', `'${model}' is not what it was when the ${task.noun} was created.`, {
      hint: `Its run went back and wrote the checkpoint anew: create the ${task.noun} again.`,
    });
  return { base, tuned };
}

/** Something that a task needs is not there any more. */
export const goneFor = ({ noun, id }: { noun: string; id: string }, what: string): AppError =>
  new AppError('not_found', `${what} of ${noun} ${id} is gone.`, {
    hint: `Bring it here again and create the ${noun} again.`,
  });
