import { type ChildProcess, spawn } from 'node:child_process';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { newId, type RunConfig } from '@moraine/contract';
import { offerTask, type Services } from '@moraine/services';
import { expect } from 'vitest';

export const childScript = fileURLToPath(new URL('./fixtures/child.mjs', import.meta.url));
const workerScript = fileURLToPath(new URL('./fixtures/worker.mjs', import.meta.url));

/** What the fixture child computes. */
export const lossAt = (step: number): number => 4 / (1 + step / 10);

export interface Fault {
  kind: 'kill' | 'exit' | 'uncaught' | 'hang' | 'nan' | 'oom' | 'sleep' | 'talk';
  step: number;
  attempts?: number[];
}

export interface RunOptions {
  pool: string;
  steps?: number;
  every?: number;
  stepMs?: number;
  fault?: Fault;
  silent?: boolean;
  /** Written 300 ms after the process has said that it finished. */
  lateLine?: string;
  maxAttempts?: number;
}

/** A project, a base and a file with real bytes; then a queued run with its wake-up. Answers the run's id. */
export async function submitRun(s: Services, options: RunOptions): Promise<string> {
  const [projectId, baseId, fileId, runId] = [newId('project'), newId('base'), newId('file'), newId('run')];
  await s.db.project.create({ data: { id: projectId, name: projectId } });
  const blobPrefix = `bases/${baseId}`;
  await s.blobs.put(`${blobPrefix}/config.json`, Readable.from(['{}']));
  const { sizeBytes, sha256 } = await s.blobs.put(`files/${fileId}`, Readable.from(['{"text":"a"}\n']));
  await s.db.base.create({
    data: {
      id: baseId,
      projectId,
      name: 'tiny',
      blobPrefix,
      sha256,
      sizeBytes: 2,
      config: {},
      parameters: 1,
      context: 64,
    },
  });
  await s.db.file.create({
    data: {
      id: fileId,
      projectId,
      filename: 'a.jsonl',
      purpose: 'fine-tune',
      sizeBytes,
      sha256,
      blobKey: `files/${fileId}`,
      status: 'processed',
    },
  });
  const { pool, steps = 100, every = 20, stepMs = 2, fault, silent, lateLine, maxAttempts = 10 } = options;
  const config: RunConfig & { test: object } = {
    base: 'tiny',
    adapter: { type: 'none' },
    optimizer: {
      type: 'adamw',
      learning_rate: 1e-3,
      betas: [0.9, 0.999],
      eps: 1e-8,
      weight_decay: 0,
      max_grad_norm: 1,
    },
    schedule: { type: 'constant', warmup_steps: 0, min_ratio: 0 },
    n_epochs: 1,
    steps,
    batch_size: 8,
    accumulation: 1,
    max_seq_len: 64,
    over_length: 'truncate',
    packing: true,
    mode: 'plain',
    evaluation: { every_steps: 0, files: [], samples: 0 },
    checkpoint: { every_steps: every, every_seconds: 0, keep_last: 3 },
    seed: 1,
    trainable_parameters: 1,
    test: { stepMs, fault, silent, lateLine },
  };
  const common = { id: runId, projectId };
  await s.db.task.create({ data: { ...common, kind: 'train', status: 'queued', pool, maxAttempts } });
  const run = { ...common, baseId, trainingFileId: fileId, config, seed: 1, steps, request: {}, requestHash: '' };
  await s.db.run.create({ data: run });
  await offerTask(s, { id: runId, pool, submission: 1, priority: 50 });
  return runId;
}

/** The columns of a run and of its task. */
export async function runOf(s: Services, id: string) {
  const { task, ...run } = await s.db.run.findUniqueOrThrow({ where: { id }, include: { task: true } });
  return { ...task, ...run };
}
export const attemptsOf = (s: Services, taskId: string) =>
  s.db.attempt.findMany({ where: { taskId }, orderBy: { attempt: 'asc' } });

/** Looks until the answer is true; the last error counts when time is up. */
export async function until(
  what: string,
  isTrue: () => Promise<boolean> | boolean,
  timeoutMs = 100_000,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  let problem: unknown = null;
  while (Date.now() < deadline) {
    try {
      if (await isTrue()) return;
      problem = null;
    } catch (error) {
      problem = error;
    }
    await sleep(25);
  }
  throw new Error(`not within ${timeoutMs} ms: ${what}`, { cause: problem });
}

/** Waits for a status; a run that ends otherwise, or stays, is told with its error and its step. */
export async function untilStatus(s: Services, id: string, status: string, timeoutMs?: number): Promise<void> {
  const ended = ['succeeded', 'failed', 'cancelled'];
  await until(
    `run ${id} is ${status}`,
    async () => ended.concat(status).includes((await runOf(s, id)).status),
    timeoutMs,
  ).catch(async (error: unknown) => {
    const { status: now, state, step, attempt } = await runOf(s, id);
    throw new Error(`run ${id} is ${now} (${state}) at step ${step} in attempt ${attempt}`, { cause: error });
  });
  const { status: now, errorMessage } = await runOf(s, id);
  if (now !== status) throw new Error(`run ${id} is ${now}: ${errorMessage}`);
}

/** Every step of every series once, each with its value, and roll-ups that say the same. */
export async function expectComplete(s: Services, runId: string, steps: number): Promise<void> {
  const { rows } = await s.pg.query<{ step: number; value: number }>(
    `SELECT p.step, p.value FROM metric_points p JOIN metric_series m ON m.id = p.series_id WHERE m.run_id = $1 AND m.name = 'train_loss' ORDER BY 1`,
    [runId],
  );
  expect(rows).toEqual(Array.from({ length: steps }, (_, i) => ({ step: i + 1, value: lossAt(i + 1) })));
  const sums = await s.pg.query<{ n: number; last: number }>(
    `SELECT sum(r.n)::int AS n, max(r.last_step) AS last FROM metric_rollups r JOIN metric_series m ON m.id = r.series_id WHERE m.run_id = $1 AND m.name = 'train_loss'`,
    [runId],
  );
  expect(sums.rows[0]).toEqual({ n: steps, last: steps });
}

export interface WorkerProcess {
  child: ChildProcess;
  /** Its log entries so far. */
  entries(): Record<string, unknown>[];
  kill(): Promise<void>;
  terminate(): Promise<void>;
}

const spawned = new Set<ChildProcess>();

/** Ends what a failed test left running. */
export function killSpawned(): void {
  for (const child of spawned) child.kill('SIGKILL');
}

/** A worker in a process of its own, as production has it. */
export function spawnWorker(
  services: { databaseUrl: string; redisUrl: string; blobsDir: string },
  settings: Record<string, unknown>,
): WorkerProcess {
  const all = {
    name: 'w',
    version: '0',
    script: childScript,
    services,
    renewEveryMs: 500,
    heartbeatMs: 500,
    pollEveryMs: 5_000,
    ...settings,
  };
  const child = spawn(process.execPath, [workerScript, JSON.stringify(all)], { stdio: ['ignore', 'pipe', 'inherit'] });
  spawned.add(child);
  let text = '';
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  ended.then(() => spawned.delete(child)).catch(() => undefined);
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    child.kill(signal);
    await ended;
  };
  return {
    child,
    entries: () =>
      text
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line) as Record<string, unknown>),
    kill: () => end('SIGKILL'),
    terminate: () => end('SIGTERM'),
  };
}
