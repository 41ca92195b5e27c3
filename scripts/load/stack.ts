import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
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
  pids: { api: number; worker: number };
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
  const prepare = promisify(execFile)(process.execPath, [inRepo('apps/api/dist/prepare.js')], { env });
  const key = (await prepare).stdout.trim();
  const start = (name: string): ChildProcess => {
    const log = openSync(at(`${name}.log`), 'a');
    const child = spawn(process.execPath, [inRepo(`apps/${name}/dist/main.js`)], {
      env,
      detached: true,
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    return child;
  };
  const [api, worker] = [start('api'), start('worker')];
  const url = `http://127.0.0.1:${port}`;
  for (let tries = 0; !(await fetch(`${url}/readyz`).catch(() => null))?.ok; tries++) {
    if (tries > 300 || api.exitCode !== null) throw new Error(`The API does not start: see ${at('api.log')}.`);
    await sleep(200);
  }
  return {
    dir,
    url,
    key,
    databaseUrl: postgres.url,
    pids: { api: api.pid ?? 0, worker: worker.pid ?? 0 },
    async stop() {
      for (const child of [worker, api]) {
        const ended = child.exitCode === null ? once(child, 'exit') : null;
        child.kill('SIGTERM');
        const timer = setTimeout(() => child.kill('SIGKILL'), 30_000);
        await ended;
        clearTimeout(timer);
      }
      await Promise.all([redis.stop(), postgres.stop()]);
      await rm(dir, { recursive: true, force: true });
    },
  };
}
