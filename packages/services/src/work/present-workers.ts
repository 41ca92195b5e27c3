import type { Services } from '../ground/context.js';
import type { WorkerModel } from '../ground/generated/models.js';

/** The workers of a pool that are there, whatever they do. */
export const presentWorkers = (s: Services, pool: string): Promise<WorkerModel[]> =>
  s.db.worker.findMany({ where: { pool, status: { notIn: ['lost', 'gone'] } } });
