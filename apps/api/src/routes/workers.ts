import { cordonWorker, drainWorker, listPools, listQueue, listWorkers, uncordonWorker } from '@moraine/services';
import type { Handlers } from './bind.js';

export const workerHandlers: Handlers<
  'listWorkers' | 'listPools' | 'listQueue' | 'cordonWorker' | 'uncordonWorker' | 'drainWorker'
> = {
  listWorkers: ({ s, actor }) => listWorkers(s, actor),
  cordonWorker: ({ s, actor, params }) => cordonWorker(s, actor, params.id),
  uncordonWorker: ({ s, actor, params }) => uncordonWorker(s, actor, params.id),
  drainWorker: ({ s, actor, params }) => drainWorker(s, actor, params.id),
  listPools: ({ s, actor, query }) => listPools(s, actor, query),
  listQueue: ({ s, actor, query }) => listQueue(s, actor, query),
};
