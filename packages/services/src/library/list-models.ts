import type { ModelObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { type Page, toPage } from '../ground/paging.js';
import { adapterToModel, baseToModel, downloadToModel, fineTunedToModel } from './to-model-object.js';

/** Base models by name, then those that are being downloaded, then registered adapters, then fine-tuned models, newest first. Not paged, as in the OpenAI API. */
export async function listModels(s: Services, actor: Actor): Promise<Page<ModelObject>> {
  const named = { where: { projectId: actor.projectId, deletedAt: null }, orderBy: { name: 'asc' } } as const;
  // First: one becomes a base in one transaction, and must not be missed between two looks.
  const downloads = await s.db.baseDownload.findMany({
    where: { projectId: actor.projectId },
    orderBy: { name: 'asc' },
  });
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
  const models = [
    ...bases.map(baseToModel),
    ...downloads.filter(({ name }) => !bases.some((base) => base.name === name)).map(downloadToModel),
    ...adapters.map((one) => adapterToModel(one, one.base)),
    ...tuned,
  ];
  return toPage(models, models.length);
}
