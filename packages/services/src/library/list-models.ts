import type { ModelObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { type Page, toPage } from '../ground/paging.js';
import { readModels } from './read-models.js';

/** Base models by name, then those that are being downloaded, then registered adapters, then fine-tuned models, newest first. Not paged, as in the OpenAI API. */
export async function listModels(s: Services, actor: Actor): Promise<Page<ModelObject>> {
  const models = await readModels(s, actor);
  return toPage(models, models.length);
}
