import { AppError, nearest } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { listModels } from '../library/list-models.js';
import { findSubject, type SubjectPlace, type TunedPlace } from '../training/find-subject.js';

export type { TunedPlace };

/** What a name in a request stands for, by its content: an answer belongs to these files to its end, whatever becomes of the name. */
export interface ServedModel {
  /** Whose prompts these are: no cache is shared with another project. */
  tenant: string;
  base: SubjectPlace['base'];
  /** An adapter, or the weights of a run that trained them whole; null: the base alone. */
  tuned: TunedPlace | null;
}

/**
 * A base, a registered adapter, the result of a run (`ft:…`) or a kept checkpoint (`ft:…:ckpt-step-N`), by its name in the caller's project.
 * @throws AppError `not_found` naming the nearest; `not_ready` for a base that is still being downloaded.
 */
export async function findServed(s: Services, actor: Actor, model: string): Promise<ServedModel> {
  const { base, tuned } = await findSubject(s, actor, model).catch((error: unknown) => refuse(s, actor, model, error));
  const { name, blobPrefix, sha256 } = base;
  return {
    tenant: actor.projectId,
    base: { name, blobPrefix, sha256 },
    tuned: tuned && { blobPrefix: tuned.blobPrefix, sha256: tuned.sha256 },
  };
}

async function refuse(s: Services, actor: Actor, model: string, error: unknown): Promise<never> {
  if (!(error instanceof AppError) || error.code !== 'not_found') throw error;
  const { data } = await listModels(s, actor);
  const others = data.map(({ id }) => id).filter((id) => id !== model);
  const near = nearest(model, others);
  const hint = near ? `Did you mean '${near}'?` : (error.hint ?? 'GET /v1/models lists yours.');
  throw new AppError('not_found', error.message, { param: 'model', hint });
}
