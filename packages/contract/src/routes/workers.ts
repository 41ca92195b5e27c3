import { listOf, WorkerObject } from '../objects.js';
import { table } from './route.js';

export const WORKER_ROUTES = table({
  listWorkers: {
    method: 'GET',
    path: '/v1/workers',
    tag: 'Workers',
    summary: 'Workers and what they do',
    response: listOf(WorkerObject),
  },
});
