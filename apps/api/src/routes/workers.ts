import { listPools, listQueue, listWorkers } from '@moraine/services';
import type { Handlers } from './bind.js';

export const workerHandlers: Handlers<'listWorkers' | 'listPools' | 'listQueue'> = {
  listWorkers: ({ s, actor }) => listWorkers(s, actor),
  listPools: ({ s, actor, query }) => listPools(s, actor, query),
  listQueue: ({ s, actor, query }) => listQueue(s, actor, query),
};
