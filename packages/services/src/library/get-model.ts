import { AppError, type ModelObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { checkpointModelName, fineTunedModelName, parseFineTunedModelName } from './fine-tuned-model-name.js';
import { baseToModel, fineTunedToModel } from './to-model-object.js';

/** A base by its name, the result of a run by its `ft:` name, or a kept checkpoint by its `…:ckpt-step-<n>` name. */
export async function getModel(s: Services, actor: Actor, name: string): Promise<ModelObject> {
  const model = name.startsWith('ft:') ? await findFineTuned(s, actor, name) : await findBase(s, actor, name);
  if (!model)
    throw new AppError('not_found', `No model '${name}'.`, { param: 'model', hint: 'GET /v1/models lists yours.' });
  return model;
}

async function findBase(s: Services, actor: Actor, name: string): Promise<ModelObject | null> {
  const base = await s.db.base.findFirst({ where: { projectId: actor.projectId, name, deletedAt: null } });
  return base && baseToModel(base);
}

async function findFineTuned(s: Services, actor: Actor, name: string): Promise<ModelObject | null> {
  const parsed = parseFineTunedModelName(name);
  if (!parsed) return null;
  const runs = await s.db.run.findMany({
    where: { projectId: actor.projectId, id: { endsWith: parsed.runIdEnd }, task: { deletedAt: null } },
    include: { base: true, project: true, task: true },
  });
  for (const run of runs) {
    const whole = fineTunedModelName({
      runId: run.id,
      baseName: run.base.name,
      projectName: run.project.name,
      suffix: run.suffix,
    });
    const common = { runId: run.id, base: run.base };
    if (parsed.step === null) {
      const isDone = run.task.status === 'succeeded' && whole === name;
      if (isDone) return fineTunedToModel({ ...common, name, created: run.task.finishedAt ?? run.task.createdAt });
    } else if (checkpointModelName(whole, parsed.step) === name) {
      const checkpoint = await s.db.checkpoint.findFirst({
        where: { runId: run.id, step: parsed.step, deletedAt: null },
      });
      if (checkpoint) return fineTunedToModel({ ...common, name, created: checkpoint.createdAt });
    }
  }
  return null;
}
