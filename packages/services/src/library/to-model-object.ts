import type { ModelObject } from '@moraine/contract';
import type { BaseModel } from '../ground/generated/models.js';
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
