import type { ModelObject } from '@moraine/contract';
import type { BaseModel, UploadedAdapterModel } from '../ground/generated/models.js';
import { toSeconds } from '../ground/time.js';

export function baseToModel(base: BaseModel): ModelObject {
  return {
    id: base.name,
    object: 'model',
    created: toSeconds(base.createdAt),
    owned_by: base.projectId,
    kind: 'base',
    parent: null,
    run_id: null,
    parameters: Number(base.parameters),
    context: base.context,
  };
}

/** A registered adapter of a base. */
export const adapterToModel = (adapter: UploadedAdapterModel, base: BaseModel): ModelObject => ({
  ...baseToModel(base),
  id: adapter.name,
  created: toSeconds(adapter.createdAt),
  kind: 'adapter',
  parent: base.name,
});

export interface FineTuned {
  name: string;
  created: Date;
  runId: string;
  base: BaseModel;
}

export function fineTunedToModel({ name, created, runId, base }: FineTuned): ModelObject {
  return {
    ...baseToModel(base),
    id: name,
    created: toSeconds(created),
    kind: 'fine_tuned',
    parent: base.name,
    run_id: runId,
  };
}
