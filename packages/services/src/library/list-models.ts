import type { ModelObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { type Page, toPage } from '../ground/paging.js';
import { baseToModel, fineTunedToModel } from './to-model-object.js';

/** Base models by name, then fine-tuned models, newest first. Not paged, as in the OpenAI API. */
export async function listModels(s: Services, actor: Actor): Promise<Page<ModelObject>> {
  const [bases, runs] = await Promise.all([
    s.db.base.findMany({ where: { projectId: actor.projectId, deletedAt: null }, orderBy: { name: 'asc' } }),
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
  const models = [...bases.map(baseToModel), ...tuned];
  return toPage(models, models.length);
}
