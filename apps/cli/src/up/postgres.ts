import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, closeSync, existsSync, readFileSync, realpathSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '@moraine/contract';
import { makeFolder } from '@moraine/contract/make-folder';
import pg from 'pg';
import { z } from 'zod';
import { logSince, openLog, readJson, writePrivate } from './files.js';
import { freePort, isPortFree } from './ports.js';
import { findPostgres } from './postgres-binaries.js';
import {
  endProcess,
  folderOf,
  identify,
  isRunning,
  type ProcessId,
  processesIn,
  programOf,
  waitForEnd,
} from './processes.js';

export interface PostgresOptions {
  /** Folder of this server: its data, port and password. */
  dir: string;
  logFile: string;
  /** Database that exists when the promise resolves. */
  database?: string;
  /** Further settings, e.g. `{ fsync: 'off' }` for tests. */
  settings?: Record<string, string>;
  /** Further variables of its environment. */
  env?: Record<string, string>;
}

export interface RunningServer {
  url: string;
  port: number;
  id: ProcessId;
  /** True when it was running already. */
  adopted: boolean;
  /** Resolves when the server has ended, for whatever reason. */
  ended: Promise<void>;
  stop(): Promise<void>;
  /** Whether it responds, be it with a refusal. */
  isAlive(): Promise<boolean>;
  /** Ends it although it does not respond; it recovers at its next start. */
  crash(): Promise<void>;
}

const Saved = z.object({ port: z.int(), password: z.string() });
const NOBODY = 65534;
const ENVIRONMENT = { LANG: 'C', TZ: 'UTC' };

/**
 * Starts the embedded Postgres below `dir`, or adopts the one that runs there. It listens on the loopback address only, asks for a
 * random password, and outlives this process unless `stop` is called (fast shutdown; clients are disconnected, nothing is lost).
 */
export async function startPostgres(options: PostgresOptions): Promise<RunningServer> {
  const binaries = findPostgres();
  makeFolder(options.dir, 0o700);
  chmodSync(options.dir, 0o700);
  const data = path.join(options.dir, 'data');
  const file = path.join(options.dir, 'server.json');
  const read = Saved.safeParse(readJson(file));
  if (!read.success && existsSync(data))
    throw new AppError('storage', `${data} holds a database, but ${file} with its password is missing or damaged.`, {
      hint: 'Put the file back from a copy, or move the folder away to start with an empty database.',
    });
  const saved = read.success ? read.data : { port: await freePort(), password: randomBytes(24).toString('base64url') };
  if (!read.success) writePrivate(file, JSON.stringify(saved));
  if (!existsSync(data)) await initialise(binaries.initdb, options.dir, data, saved.password);

  const { id, port, adopted, child } = await adoptOrStart(binaries.postgres, realpathSync(data), saved, file, options);
  const url = (database: string) => `postgresql://postgres:${saved.password}@127.0.0.1:${port}/${database}`;
  const crash = () => endProcess(id, 'SIGKILL', 10_000);
  try {
    await ensureDatabase(url('postgres'), options.database ?? 'moraine');
  } catch (error) {
    // One that was left running and hangs is no use to anybody.
    if (!adopted || (await respondsAt(url('postgres')))) throw error;
    await crash();
    return startPostgres(options);
  }
  return {
    url: url(options.database ?? 'moraine'),
    port,
    id,
    adopted,
    ended: endOf(id, child),
    stop: () => endProcess(id, 'SIGINT', 20_000),
    isAlive: () => respondsAt(url('postgres')),
    crash,
  };
}

const ALIVE_MS = 5_000;

/** Whether a Postgres says anything: also one that recovers, or has no connection left, is alive. */
async function respondsAt(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: ALIVE_MS, query_timeout: ALIVE_MS });
  client.on('error', () => {});
  try {
    await client.connect();
    await client.query('SELECT 1');
    return true;
  } catch (error) {
    return error instanceof pg.DatabaseError;
  } finally {
    void client.end().catch(() => {});
  }
}

/** Resolves when the process has ended; a child tells, any other process is asked. */
export async function endOf(id: ProcessId, child: ChildProcess | null): Promise<void> {
  if (child) {
    if (child.exitCode === null && child.signalCode === null)
      await new Promise((resolve) => child.once('exit', resolve));
    return;
  }
  while (isRunning(id)) await sleep(250, undefined, { ref: false });
}

/**
 * Postgres refuses to run as root. Root therefore starts it in a user namespace in which root has the number of nobody: it needs no
 * second account and works below folders that only root may enter. Where namespaces are off it becomes nobody for real.
 */
function spawnUnprivileged(bin: string, args: string[], dir: string, options: SpawnOptions): ChildProcess {
  const env = { ...ENVIRONMENT, ...options.env };
  if (process.getuid?.() !== 0) return spawn(bin, args, { ...options, env });
  const unshare = ['--user', `--map-user=${NOBODY}`, `--map-group=${NOBODY}`];
  if (spawnSync('unshare', [...unshare, bin, '--version'], { stdio: 'ignore' }).status === 0)
    return spawn('unshare', [...unshare, bin, ...args], { ...options, env });
  spawnSync('chown', ['-R', `${NOBODY}:${NOBODY}`, dir]);
  try {
    return spawn(bin, args, { ...options, env, uid: NOBODY, gid: NOBODY });
  } catch (cause) {
    throw staysRoot(cause);
  }
}

const staysRoot = (cause: unknown): AppError =>
  new AppError('storage', `Postgres refuses to run as root, and root can become nobody else here: ${cause}.`, {
    hint: "Start Moraine as an ordinary user, put util-linux's `unshare` on the PATH, or set DATABASE_URL to a server of yours.",
    cause,
  });

/** Creates the data folder under another name and renames it when it is whole, so that a cut-short start never looks like a database. */
async function initialise(initdb: string, dir: string, data: string, password: string): Promise<void> {
  const fresh = `${data}.new`;
  rmSync(fresh, { recursive: true, force: true });
  const passwordFile = path.join(dir, 'password.tmp');
  writePrivate(passwordFile, password);
  try {
    const args = ['-D', fresh, '-U', 'postgres', '-A', 'scram-sha-256', `--pwfile=${passwordFile}`, '-E', 'UTF8'];
    args.push('--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--no-instructions');
    const child = spawnUnprivileged(initdb, args, dir, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr?.on('data', (chunk: Buffer) => (output += chunk.toString()));
    const code = await new Promise<number | null>((resolve, reject) =>
      child
        .once('error', (cause) => reject(process.getuid?.() === 0 ? staysRoot(cause) : cause))
        .once('close', resolve),
    );
    if (code !== 0)
      throw new AppError(
        'storage',
        `Postgres could not create its data folder ${fresh}: ${output.trim().split('\n').slice(-3).join(' ')}`,
        {
          hint: 'Check the free space and the owner of the folder, or set DATABASE_URL to a Postgres of your own.',
        },
      );
    renameSync(fresh, data);
  } finally {
    rmSync(passwordFile, { force: true });
  }
}

interface PidFile {
  pid: number;
  port: number;
  status: string;
}

function readPidFile(data: string): PidFile | null {
  try {
    const lines = readFileSync(path.join(data, 'postmaster.pid'), 'utf8').split('\n');
    return { pid: Number(lines[0]), port: Number(lines[3] ?? 0), status: (lines[7] ?? '').trim() };
  } catch {
    return null;
  }
}

const isPostgresOf = (pid: number, data: string): boolean =>
  identify(pid) !== null && programOf(pid) === 'postgres' && (process.platform !== 'linux' || folderOf(pid) === data);

async function adoptOrStart(
  bin: string,
  data: string,
  saved: z.infer<typeof Saved>,
  file: string,
  options: PostgresOptions,
): Promise<{ id: ProcessId; port: number; adopted: boolean; child: ChildProcess | null }> {
  const found = readPidFile(data);
  if (found && isPostgresOf(found.pid, data)) {
    const id = identify(found.pid);
    for (let waits = 0; id && isRunning(id) && waits < 3000; waits++) {
      const now = readPidFile(data);
      if (now?.pid === id.pid && now.status === 'ready') return { id, port: now.port, adopted: true, child: null };
      if (now?.status === 'stopping') await waitForEnd(id, 20_000);
      await sleep(20);
    }
  } else if (found && identify(found.pid) && processesIn(data).length === 0) {
    // The number belongs to another program by now. Postgres would refuse for ever.
    rmSync(path.join(data, 'postmaster.pid'), { force: true });
  }

  for (let tries = 0; ; tries++) {
    if (!(await isPortFree(saved.port))) saved.port = await freePort();
    writePrivate(file, JSON.stringify(saved));
    const settings = {
      listen_addresses: '127.0.0.1',
      port: String(saved.port),
      max_connections: '200',
      ...options.settings,
    };
    const args = [
      '-D',
      data,
      '-k',
      '',
      ...Object.entries(settings).flatMap(([key, value]) => ['-c', `${key}=${value}`]),
    ];
    const log = openLog(options.logFile);
    // Detached: Ctrl-C in the terminal must not reach Postgres before the API has drained. A log file, not a pipe: it may outlive us.
    const child = spawnUnprivileged(bin, args, options.dir, {
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
      env: options.env,
    });
    closeSync(log.fd);
    let error: Error | null = null;
    child.once('error', (cause) => {
      error = cause;
    });
    child.unref();
    const isDead = () => error !== null || child.exitCode !== null || child.signalCode !== null;
    const isReady = () => {
      const now = readPidFile(data);
      return now !== null && now.pid === child.pid && now.status === 'ready';
    };
    while (!isDead() && !isReady()) await sleep(10);
    const id = isDead() || child.pid === undefined ? null : identify(child.pid);
    if (id) return { id, port: saved.port, adopted: false, child };
    const text = error ? String(error) : logSince(options.logFile, log.from);
    // Children of a killed postmaster let go of its memory a moment later; a port may be taken between look and use.
    if (tries > 100 || !/pre-existing shared memory|lock file|could not bind|Address already in use/.test(text))
      throw new AppError('storage', `Postgres does not start: ${text.trim().split('\n').slice(-3).join(' ')}`, {
        hint: `Its whole log is ${options.logFile}.`,
      });
    await sleep(100);
  }
}

async function ensureDatabase(url: string, database: string): Promise<void> {
  if (database === 'postgres') return;
  for (let tries = 0; ; tries++) {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5000 });
    client.on('error', () => {});
    try {
      await client.connect();
      const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [database]);
      if (rowCount === 0) await client.query(`CREATE DATABASE ${pg.escapeIdentifier(database)}`);
      return;
    } catch (cause) {
      // 57P03: the server is still recovering.
      const code = (cause as { code?: string }).code;
      if (tries > 600 || !(code === '57P03' || code === 'ECONNREFUSED' || code === 'ECONNRESET'))
        throw new AppError('unavailable', `The embedded Postgres does not let us in: ${String(cause)}.`, { cause });
      await sleep(100);
    } finally {
      await client.end().catch(() => {});
    }
  }
}
