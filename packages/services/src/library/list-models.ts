import type { ModelObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { type Page, toPage } from '../ground/paging.js';
import { adapterToModel, baseToModel, fineTunedToModel } from './to-model-object.js';

/** Base models by name, then registered adapters, then fine-tuned models, newest first. Not paged, as in the OpenAI API. */
export async function listModels(s: Services, actor: Actor): Promise<Page<ModelObject>> {
  const named = { where: { projectId: actor.projectId, deletedAt: null }, orderBy: { name: 'asc' } } as const;
  const [bases, adapters, runs] = await Promise.all([
    s.db.base.findMany(named),
    s.db.uploadedAdapter.findMany({ ...named, include: { base: true } }),
    s.db.run.findMany({
      where: {
        projectId: actor.projectId,
        fineTunedModel: { not: null },
        task: { deletedAt: null, status: 'succeeded' },
      },
      include: { base: true, task: true },
      orderBy: [{ task: { createdAt: 'desc' } }, { id: 'desc' }],
    }),
  ]);
  const tuned = runs.flatMap((run) =>
    run.fineTunedModel === null
      ? []
      : [
          fineTunedToModel({
            name: run.fineTunedModel,
            created: run.task.finishedAt ?? run.task.createdAt,
            runId: run.id,
            base: run.base,
          }),
        ],
  );
  const models = [...bases.map(baseToModel), ...adapters.map((one) => adapterToModel(one, one.base)), ...tuned];
  return toPage(models, models.length);
}
