import type { ModelObject } from '@moraine/contract';
import type { BaseDownloadModel, BaseModel, UploadedAdapterModel } from '../ground/generated/models.js';
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
    status: 'ready',
    source: base.source,
    commit: base.commit,
    download: null,
    error: null,
  };
}

/** A base that is on its way from a hub, or could not come. */
export const downloadToModel = (row: BaseDownloadModel): ModelObject => ({
  id: row.name,
  object: 'model',
  created: toSeconds(row.createdAt),
  owned_by: row.projectId,
  kind: 'base',
  parent: null,
  run_id: null,
  parameters: null,
  context: null,
  status: row.status === 'error' ? 'error' : 'processing',
  source: row.source,
  commit: row.commit,
  download: {
    bytes: Number(row.bytes),
    bytes_total: row.bytesTotal === null ? null : Number(row.bytesTotal),
    waiting: row.waiting,
  },
  error: row.error as ModelObject['error'],
});

/** A registered adapter of a base. */
export const adapterToModel = (adapter: UploadedAdapterModel, base: BaseModel): ModelObject => ({
  ...baseToModel(base),
  id: adapter.name,
  created: toSeconds(adapter.createdAt),
  source: null,
  commit: null,
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
    source: null,
    commit: null,
    kind: 'fine_tuned',
    parent: base.name,
    run_id: runId,
  };
}
