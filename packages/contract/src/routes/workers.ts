import { z } from 'zod';
import { listOf, PoolObject, QueueEntry, WorkerObject } from '../objects/index.js';
import { after, id, limit, table } from './route.js';

const pool = z.string().min(1).max(64).optional();

export const WORKER_ROUTES = table({
  listWorkers: {
    method: 'GET',
    path: '/v1/workers',
    tag: 'Workers',
    summary: 'Workers and what they do',
    response: listOf(WorkerObject),
  },
  cordonWorker: {
    method: 'POST',
    path: '/v1/workers/:id/cordon',
    tag: 'Workers',
    summary: 'The worker takes nothing new and finishes what it has',
    params: id,
    response: WorkerObject,
  },
  uncordonWorker: {
    method: 'POST',
    path: '/v1/workers/:id/uncordon',
    tag: 'Workers',
    summary: 'The worker takes tasks again',
    params: id,
    response: WorkerObject,
  },
  drainWorker: {
    method: 'POST',
    path: '/v1/workers/:id/drain',
    tag: 'Workers',
    summary: 'The worker finishes its step, saves, gives its task back uncharged, and ends',
    params: id,
    response: WorkerObject,
  },
  listPools: {
    method: 'GET',
    path: '/v1/pools',
    tag: 'Workers',
    summary: 'Pools: their workers by status, what waits and runs there, and how many workers are wanted',
    query: z.strictObject({
      pool: pool.describe('This pool only; it is there, with zeros, where it has neither workers nor tasks.'),
    }),
    response: listOf(PoolObject),
  },
  listQueue: {
    method: 'GET',
    path: '/v1/queue',
    tag: 'Workers',
    summary: 'What waits for a worker, pool by pool in its order: place, reason, priority and since when',
    query: z.strictObject({ pool: pool.describe('Of this pool only.'), limit: limit(50, 200), after }),
    response: listOf(QueueEntry),
  },
});
