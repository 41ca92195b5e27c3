import { AppError, type ModelObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { checkpointModelName, fineTunedModelName, parseFineTunedModelName } from './fine-tuned-model-name.js';
import { readNamedModel } from './read-models.js';
import { fineTunedToModel } from './to-model-object.js';

/** A base or a registered adapter by its name, the result of a run by its `ft:` name, or a kept checkpoint by its `…:ckpt-step-<n>` name. */
export async function getModel(s: Services, actor: Actor, name: string): Promise<ModelObject> {
  const model = name.startsWith('ft:') ? await findFineTuned(s, actor, name) : await readNamedModel(s, actor, name);
  if (!model)
    throw new AppError('not_found', `No model '${name}'.`, { param: 'model', hint: 'GET /v1/models lists yours.' });
  return model;
}

async function findFineTuned(s: Services, actor: Actor, name: string): Promise<ModelObject | null> {
  const found = await findTunedRun(s, actor, name);
  if (!found) return null;
  const { run, step } = found;
  const common = { runId: run.id, base: run.base, name };
  if (step === null) return fineTunedToModel({ ...common, created: run.task.finishedAt ?? run.task.createdAt });
  const checkpoint = await s.db.checkpoint.findFirst({ where: { runId: run.id, step, deletedAt: null } });
  return checkpoint && fineTunedToModel({ ...common, created: checkpoint.createdAt });
}

/** The run that an `ft:` name speaks of, which has succeeded, or the step of its checkpoint that the name speaks of; null where there is none. */
export async function findTunedRun(s: Services, actor: Actor, name: string) {
  const parsed = parseFineTunedModelName(name);
  if (!parsed) return null;
  const { runIdEnd, step } = parsed;
  const runs = await s.db.run.findMany({
    where: { projectId: actor.projectId, id: { endsWith: runIdEnd }, task: { deletedAt: null } },
    include: { base: true, project: true, task: true },
  });
  const run = runs.find(({ id, base, project, suffix, task }) => {
    const whole = fineTunedModelName({ runId: id, baseName: base.name, projectName: project.name, suffix });
    return step === null ? task.status === 'succeeded' && whole === name : checkpointModelName(whole, step) === name;
  });
  return run ? { run, step } : null;
}
