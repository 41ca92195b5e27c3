import type { WorkerObject, WorkerStatus } from '@moraine/contract';
import type pg from 'pg';
import type { Actor, Services } from '../ground/context.js';
import { type Page, toPage } from '../ground/paging.js';
import { prepared } from '../ground/prepared.js';
import { toSeconds } from '../ground/time.js';
import { LIVE } from './fence.js';

interface WorkerRow {
  id: string;
  name: string;
  pool: string;
  status: WorkerStatus;
  status_reason: string | null;
  host: string;
  pid: number;
  version: string;
  device: WorkerObject['device'];
  cores: number;
  memory_bytes: string;
  started_at: Date;
  heartbeat_at: Date;
  age_s: number;
  run_id: string | null;
  task_id: string | null;
  attempt: number | null;
}

/** The workers `w` that are shown: those that live, and lost ones of the last day unless a worker of that name has come back since. */
export const SHOWN = `w.status <> 'gone' AND (w.status <> 'lost' OR w.heartbeat_at > now() - interval '1 day' AND NOT EXISTS (
  SELECT 1 FROM workers n WHERE n.name = w.name AND n.host = w.host AND n.started_at > w.started_at))`;

const WORKERS = `
  SELECT w.id, w.name, w.pool, w.status, w.status_reason, w.host, w.pid, w.version, w.device, w.cores, w.memory_bytes, w.started_at,
    w.heartbeat_at, extract(epoch FROM now() - w.heartbeat_at)::float8 AS age_s, coalesce(v.run_id, CASE WHEN t.kind = 'train' THEN t.id END) AS run_id, t.id AS task_id, CASE WHEN t.kind = 'train' THEN a.attempt END AS attempt
  FROM workers w
  LEFT JOIN attempts a ON a.worker_id = w.id AND a.status IN ${LIVE}
  LEFT JOIN tasks t ON t.id = a.task_id AND t.project_id = $1
  LEFT JOIN verifications v ON v.id = t.id
  WHERE ${SHOWN}
  ORDER BY w.pool, w.name, w.started_at DESC`;

/** Workers without a sign of life for so long are lost. */
export const WORKER_SILENT_MS = 20_000;

/** Workers of all projects. A run is named, the one that is verified too, only when it is of the caller's project. */
export async function listWorkers(s: Services, actor: Actor): Promise<Page<WorkerObject>> {
  const workers = await readWorkers(s.pg, actor);
  return toPage(workers, workers.length);
}

/** The same over one connection, inside its transaction, or over the pool. */
export async function readWorkers(client: pg.Pool | pg.PoolClient, { projectId }: Actor): Promise<WorkerObject[]> {
  const { rows } = await client.query<WorkerRow>(prepared(WORKERS, [projectId]));
  return rows.map(toWorkerObject);
}

const toWorkerObject = (row: WorkerRow): WorkerObject => ({
  id: row.id,
  object: 'worker',
  name: row.name,
  pool: row.pool,
  status: row.status,
  status_reason: row.status_reason,
  host: row.host,
  pid: row.pid,
  version: row.version,
  // Workers from before say nothing of bfloat16.
  device: { ...row.device, bfloat16: row.device.bfloat16 ?? null },
  cores: row.cores,
  memory_bytes: Number(row.memory_bytes),
  started_at: toSeconds(row.started_at),
  heartbeat_at: toSeconds(row.heartbeat_at),
  heartbeat_age_s: Math.max(0, row.age_s),
  run_id: row.run_id,
  task_id: row.task_id,
  attempt: row.attempt,
});
