import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { freePort, startPostgres, startRedis } from 'moraine/up';

const inRepo = (...parts: string[]): string => path.join(fileURLToPath(new URL('../..', import.meta.url)), ...parts);

/** A whole stack in a folder of its own, each part a process of its own session, as `moraine up` starts them. */
export interface LoadStack {
  dir: string;
  url: string;
  key: string;
  databaseUrl: string;
  /** Process ids by part. */
  pids: { api: number; worker: number; postgres: number };
  stop(): Promise<void>;
}

/** Starts Postgres (as shipped: every commit reaches the disk), Redis, the API and a worker on free ports. */
export async function startLoadStack(settings: Record<string, string> = {}): Promise<LoadStack> {
  const dir = await mkdtemp(path.join(tmpdir(), 'moraine-load-'));
  const at = (name: string): string => path.join(dir, name);
  const [postgres, redis, port] = await Promise.all([
    startPostgres({ dir: at('pg'), logFile: at('postgres.log') }),
    startRedis({ dir: at('redis'), logFile: at('redis.log') }),
    freePort(),
  ]);
  const env = {
    ...process.env,
    DATABASE_URL: postgres.url,
    REDIS_URL: redis.url,
    MORAINE_BLOBS: at('blobs'),
    MORAINE_WORK_DIR: at('work'),
    PORT: String(port),
    ...settings,
  };
  const children: ChildProcess[] = [];
  const stop = async (): Promise<void> => {
    for (const child of children.toReversed()) await endChild(child);
    await Promise.all([redis.stop(), postgres.stop()]);
    await rm(dir, { recursive: true, force: true });
  };
  const start = (name: string): ChildProcess => {
    const log = openSync(at(`${name}.log`), 'a');
    const child = spawn(process.execPath, [inRepo(`apps/${name}/dist/main.js`)], {
      env,
      detached: true,
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    children.push(child);
    return child;
  };
  const url = `http://127.0.0.1:${port}`;
  try {
    const prepare = promisify(execFile)(process.execPath, [inRepo('apps/api/dist/prepare.js')], { env });
    const key = (await prepare).stdout.trim();
    const [api, worker] = [start('api'), start('worker')];
    for (let tries = 0; !(await fetch(`${url}/readyz`).catch(() => null))?.ok; tries++) {
      if (tries > 300 || api.exitCode !== null)
        throw new Error(`The API does not start: ${readFileSync(at('api.log'), 'utf8')}`);
      await sleep(200);
    }
    const pids = { api: api.pid ?? 0, worker: worker.pid ?? 0, postgres: postgres.id.pid };
    return { dir, url, key, databaseUrl: postgres.url, pids, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 30_000);
  await ended;
  clearTimeout(timer);
}
