import { newId, type WorkerObject, type WorkerStatus } from '@moraine/contract';
import type { Services } from '../ground/context.js';

export type WorkerDevice = WorkerObject['device'];

export interface NewWorker {
  name: string;
  pool: string;
  host: string;
  pid: number;
  version: string;
  device: WorkerDevice;
  cores: number;
  memoryBytes: number;
  status?: WorkerStatus;
  statusReason?: string | null;
}

/** Makes a worker known; answers its id. A worker is one process: after a restart it registers anew. */
export async function registerWorker(s: Services, worker: NewWorker): Promise<string> {
  const id = newId('worker');
  await s.pg.query(
    `INSERT INTO workers (id, name, pool, status, status_reason, host, pid, version, device, cores, memory_bytes)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
    [
      id,
      worker.name,
      worker.pool,
      worker.status ?? 'ready',
      worker.statusReason ?? null,
      worker.host,
      worker.pid,
      worker.version,
      JSON.stringify(worker.device),
      worker.cores,
      Math.round(worker.memoryBytes),
    ],
  );
  return id;
}
