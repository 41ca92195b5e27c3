import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { createApiKey, ensureDefaultProject, openServices } from '@moraine/services';
import type { TestDatabase } from '@moraine/testing';
import { pino } from 'pino';
import { expect } from 'vitest';

const MAIN = fileURLToPath(new URL('../dist/main.js', import.meta.url));
const children = new Set<ChildProcess>();

export interface ApiProcess {
  child: ChildProcess;
  url: string;
  log: () => string;
}

/** The built process as `moraine up` starts it, once it listens or has ended. */
export async function startApiProcess(
  { databaseUrl, redisUrl, blobsDir }: TestDatabase,
  settings: Record<string, string> = {},
): Promise<ApiProcess> {
  const env = {
    PATH: process.env.PATH,
    DATABASE_URL: databaseUrl,
    REDIS_URL: redisUrl,
    MORAINE_BLOBS: blobsDir,
    PORT: '0',
    ...settings,
  };
  const child = spawn(process.execPath, [MAIN], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  children.add(child);
  child.once('exit', () => children.delete(child));
  let log = '';
  for (const pipe of [child.stdout, child.stderr])
    pipe.on('data', (chunk: Buffer) => {
      log += chunk.toString();
    });
  await expect.poll(() => child.exitCode !== null || /listens on/.test(log), { timeout: 50_000 }).toBe(true);
  return { child, url: /http:\/\/127\.0\.0\.1:\d+/.exec(log)?.[0] ?? '', log: () => log };
}

/** Ends what a test left running. */
export function killApis(): void {
  for (const child of children) child.kill('SIGKILL');
}

/** A key for the processes on a database. */
export async function makeKey(database: TestDatabase): Promise<string> {
  const services = await openServices({ ...database, log: pino({ level: 'silent' }) });
  const project = await ensureDefaultProject(services);
  const { key } = await createApiKey(services, { projectId: project.id }, { name: 'test' });
  await services.close();
  return key;
}
