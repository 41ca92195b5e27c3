import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, existsSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '@moraine/contract';
import { childEnv } from '../env.js';
import { inRepo } from '../paths.js';
import { logSince, openLog } from './files.js';
import type { RunningPart } from './keep-running.js';
import { endOf } from './postgres.js';
import { endProcess, identify, isRunning, type ProcessId, signal } from './processes.js';
import type { RememberedPart } from './stack-file.js';

export interface NodePartOptions {
  name: string;
  /** Program file. */
  entry: string;
  /** Its settings; with the built files they make the fingerprint by which a later start recognises it. */
  env: Record<string, string>;
  logFile: string;
  /** What an earlier supervisor left running under this name. */
  leftover: RememberedPart | undefined;
  remember(part: RememberedPart): void;
  /** Returns true once the part serves, which is told from another by its instance; absent where running is enough. */
  isReady?(instance: string): Promise<boolean>;
  /** Whether it responds while it runs; absent where running is enough. */
  isAlive?(instance: string): Promise<boolean>;
  /** Gives up waiting for readiness. */
  signal?: AbortSignal;
  /** Time from SIGTERM to SIGKILL. */
  stopMs: number;
}

const READY_MS = 60_000;
/** One that was left by an earlier supervisor serves already, or hangs. */
const ADOPT_MS = 15_000;

/** Newest change of a built file anywhere in the repository: a process of an older build is not adopted. */
export function buildStamp(): number {
  let newest = 0;
  const look = (dir: string): void => {
    for (const entry of readdirSync(dir, { withFileTypes: true })) {
      const file = path.join(dir, entry.name);
      if (entry.isDirectory()) look(file);
      else if (entry.name.endsWith('.js')) newest = Math.max(newest, statSync(file).mtimeMs);
    }
  };
  for (const group of ['packages', 'apps']) {
    for (const name of readdirSync(inRepo(group))) {
      const dist = inRepo(group, name, 'dist');
      // The dashboard's files are served, not run; this command's own build says nothing about its children.
      if (name === 'dashboard' || name === 'cli' || !statSync(dist, { throwIfNoEntry: false })) continue;
      look(dist);
    }
  }
  return newest;
}

const fingerprintOf = (options: NodePartOptions): string =>
  createHash('sha256')
    .update(JSON.stringify([options.entry, buildStamp(), process.version, Object.entries(options.env).sort()]))
    .digest('hex');

/** What a part says of itself when it is asked who it is (MORAINE_INSTANCE): nothing of the settings can be read from it. */
const instanceOf = (fingerprint: string): string =>
  createHash('sha256').update(`instance ${fingerprint}`).digest('hex').slice(0, 24);

/** Kills the process and what it forked: every part leads a process group of its own. */
const killGroup = (pid: number): boolean => signal(-pid, 'SIGKILL');

/**
 * Starts a Node process of ours with its log in a file, so that it can outlive a supervisor that was killed; or takes over the one that
 * was left, when it runs the same build with the same settings. A leftover that differs is asked to finish first.
 */
export async function startNodePart(options: NodePartOptions): Promise<RunningPart> {
  if (!existsSync(options.entry))
    throw new AppError('internal', `${options.entry} does not exist: ${options.name} is not built.`, {
      hint: 'Run `npm run build`.',
    });
  const fingerprint = fingerprintOf(options);
  const instance = instanceOf(fingerprint);
  const { leftover } = options;
  const adopt = leftover !== undefined && isRunning(leftover) && leftover.fingerprint === fingerprint;
  if (leftover && !adopt) await endLeftover(leftover, options.stopMs);

  const log = openLog(options.logFile);
  const child = adopt
    ? null
    : spawn(process.execPath, [options.entry], {
        env: childEnv({ ...options.env, MORAINE_INSTANCE: instance }),
        cwd: inRepo(),
        detached: true,
        stdio: ['ignore', log.fd, log.fd],
      });
  closeSync(log.fd);
  child?.unref();
  child?.once('error', () => {});
  const id = adopt
    ? { pid: leftover.pid, started: leftover.started }
    : child?.pid === undefined
      ? null
      : identify(child.pid);
  if (id) options.remember({ ...id, name: options.name, fingerprint });
  const lastWords = (): string => logSince(options.logFile, log.from).trim().split('\n').slice(-5).join('\n');
  if (!id) throw new AppError('internal', `${options.name} ended at once. ${lastWords()}`);

  const part: RunningPart = {
    id,
    adopted: adopt,
    ended: endOf(id, child),
    isAlive: options.isAlive && (async () => options.isAlive?.(instance) ?? true),
    stop: async () => {
      await endProcess(id, 'SIGTERM', options.stopMs);
      killGroup(id.pid);
    },
    kill: async () => {
      killGroup(id.pid);
      await endProcess(id, 'SIGKILL', 1_000);
    },
  };
  const deadline = performance.now() + (adopt ? ADOPT_MS : READY_MS);
  while (options.isReady && !(await options.isReady(instance))) {
    if (!isRunning(id))
      throw new AppError('internal', `${options.name} ended while it started:\n${lastWords()}`, {
        hint: `Its whole log is ${options.logFile}.`,
      });
    if (options.signal?.aborted) {
      await part.stop();
      options.signal.throwIfAborted();
    }
    if (performance.now() > deadline) {
      await part.kill();
      if (adopt) return startNodePart({ ...options, leftover: undefined });
      throw new AppError('unavailable', `${options.name} did not respond within ${READY_MS / 1000} s.`, {
        hint: `Its log is ${options.logFile}.`,
      });
    }
    await sleep(50);
  }
  return part;
}

/** Ends a process of an earlier supervisor: SIGTERM, so that a worker saves a checkpoint and gives its run back, then SIGKILL. */
export async function endLeftover(part: ProcessId, stopMs: number): Promise<void> {
  if (!isRunning(part)) return;
  await endProcess(part, 'SIGTERM', stopMs);
  killGroup(part.pid);
}
