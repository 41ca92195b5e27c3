import { rm } from 'node:fs/promises';
import { availableParallelism, hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { machineMemory } from '@moraine/contract/machine-memory';
import { makeFolder } from '@moraine/contract/make-folder';
import {
  type Claim,
  claimRun,
  heartbeatWorker,
  LEASE_MS,
  listenControl,
  openWakeConsumer,
  type Room,
  registerWorker,
  retireWorker,
  type Services,
  type WorkerDevice,
} from '@moraine/services';
import type { Logger } from 'pino';
import { storeBacklogs } from './backlog.js';
import { openCordon } from './cordon.js';
import { availableBytes, memoryLimitBytes } from './memory.js';
import { type Probe, probeRuntime } from './probe-runtime.js';
import { untilDone } from './retry.js';
import { type AttemptSettings, type RunningAttempt, runAttempt } from './run-attempt.js';
import { watchDisks } from './watch-disks.js';
import { deadFolders, ownFolder } from './work-folders.js';

export interface WorkerSettings extends Partial<Omit<AttemptSettings, 'script' | 'workDir' | 'cacheDir'>> {
  name: string;
  pool: string;
  /** The program that trains: dist/attempt.js, or another that speaks its protocol. */
  script: string;
  workDir: string;
  version: string;
  heartbeatMs?: number;
  /** How often a machine without a runtime looks again. */
  probeEveryMs?: number;
  /** Room on the disks of attempts and blobs below which nothing is claimed; default 256 MiB. */
  diskReserveBytes?: number;
  /** How often a worker whose disk is full or failed looks again. */
  diskProbeEveryMs?: number;
  /** How often a free worker looks in Postgres although nobody woke it: Redis may be away. */
  pollEveryMs?: number;
}

export interface RunningWorker {
  /** Id under which it is registered now; null before. */
  id(): string | null;
  /** Finishes the step, saves, gives the run back and ends. */
  drain(): Promise<void>;
  /** Resolves when it has ended: drained, whoever asked, or because it cannot go on, which the log explains. */
  ended: Promise<{ drained: boolean }>;
}

/** Of what an attempt says until Postgres has it. */
const BACKLOG_BYTES = 1024 ** 3;
const NO_DEVICE: WorkerDevice = { kind: 'none', name: 'none', tensorflow: null, bfloat16: null };

const attemptSettingsOf = (settings: WorkerSettings): AttemptSettings => ({
  script: settings.script,
  workDir: ownFolder(settings.workDir),
  cacheDir: join(settings.workDir, 'cache'),
  threads: settings.threads ?? availableParallelism(),
  memoryLimitBytes: settings.memoryLimitBytes ?? memoryLimitBytes(),
  nice: settings.nice ?? 0,
  backlogLimitBytes: settings.backlogLimitBytes ?? BACKLOG_BYTES,
  leaseMs: settings.leaseMs ?? LEASE_MS,
  renewEveryMs: settings.renewEveryMs ?? 5_000,
  cancelDeadlineMs: settings.cancelDeadlineMs ?? 10_000,
  drainDeadlineMs: settings.drainDeadlineMs ?? 20_000,
  pauseDeadlineMs: settings.pauseDeadlineMs ?? 10 * 60_000,
  stuckAfterMs: settings.stuckAfterMs ?? null,
});

/**
 * One worker: registers, looks for a run, executes it in a child of its own, looks again. It never trains itself, so its heartbeats and
 * leases are never late.
 */
export function startWorker(s: Services, settings: WorkerSettings, log: Logger): RunningWorker {
  const { name, pool, script, version, heartbeatMs = 5_000, probeEveryMs = 30_000, pollEveryMs = 5_000 } = settings;
  const attemptSettings = attemptSettingsOf(settings);
  const { threads } = attemptSettings;
  const draining = new AbortController();
  const cordon = openCordon();
  let workerId: string | null = null;
  let current: RunningAttempt | null = null;
  let probe: Probe | null = null;

  const register = async (): Promise<string> => {
    const facts = {
      name,
      pool,
      version,
      host: hostname(),
      pid: process.pid,
      cores: threads,
      memoryBytes: machineMemory(),
    };
    const id = await untilDone(
      () => registerWorker(s, { ...facts, device: probe?.device ?? NO_DEVICE, status: 'registering' }),
      {
        signal: draining.signal,
        onWait: (error) => log.warn({ err: error }, 'cannot register yet'),
      },
    );
    workerId = id;
    log.info({ workerId: id, pool }, 'worker registered');
    return id;
  };

  const beat = async (): Promise<void> => {
    if (!workerId || !probe) return;
    const statusReason = probe.problem ?? disks.fault();
    const status = draining.signal.aborted ? 'draining' : statusReason ? 'unhealthy' : current ? 'busy' : 'ready';
    const known = await heartbeatWorker(s, workerId, { status, statusReason, device: probe.device });
    if (!known && !current && !draining.signal.aborted) await register();
    cordon.set(known?.asked === 'cordon');
    if (known?.asked === 'drain') beginDrain();
  };
  const heartbeat = setInterval(() => {
    beat().catch((error: unknown) => log.debug({ err: error }, 'heartbeat not delivered'));
  }, heartbeatMs);

  const stopListening = listenControl(s, (message) => {
    if (message.type === 'worker') {
      if (message.workerId === workerId) beat().catch(() => undefined);
    } else if (current?.taskId === message.taskId) current.stop(message.type);
  });

  const beginDrain = (): void => {
    if (draining.signal.aborted) return;
    log.info('draining');
    draining.abort();
    current?.stop('drain');
    beat().catch(() => undefined);
  };

  // Blobs that are elsewhere have a disk of their own, which shows when something is stored.
  const blobsHere = s.blobs.localPath('attempts');
  const disks = watchDisks({
    places: [
      { what: `the disk of the worker's folder (${settings.workDir})`, dir: settings.workDir },
      ...(blobsHere === null ? [] : [{ what: 'the disk of the blob storage', dir: dirname(blobsHere) }]),
    ],
    reserveBytes: settings.diskReserveBytes,
    probeEveryMs: settings.diskProbeEveryMs,
    signal: draining.signal,
    onChange: () => beat().catch(() => undefined),
    log,
  });
  const roomNow = async (): Promise<Partial<Room>> => {
    const [disk, memory] = [await disks.free(), availableBytes()];
    return {
      ...(disk === null ? {} : { disk }),
      ...(memory === null ? {} : { memory, memoryLimit: attemptSettings.memoryLimitBytes }),
    };
  };

  /** The best run to take; tries again until Postgres is there. */
  const look = async (id: string): Promise<Claim | null> => {
    for (let isAgain = false; !draining.signal.aborted; isAgain = true) {
      try {
        await disks.untilRoom();
        if (draining.signal.aborted) return null;
        const room = await roomNow();
        return await claimRun(s, { workerId: id, pool, leaseMs: attemptSettings.leaseMs, room, isAgain });
      } catch (error) {
        log.warn({ err: error }, 'cannot look for a run now');
        await sleep(1_000, undefined, { signal: draining.signal }).catch(() => undefined);
      }
    }
    return null;
  };

  /** Looks until a runtime is there; logs why it is not. */
  const becomeHealthy = async (): Promise<void> => {
    while (!draining.signal.aborted) {
      probe = await probeRuntime(script, threads);
      await beat().catch(() => undefined);
      if (!probe.problem) return log.info({ device: probe.device }, 'ready');
      log.error({ problem: probe.problem }, 'this worker cannot train');
      await sleep(probeEveryMs, undefined, { signal: draining.signal }).catch(() => undefined);
    }
  };

  const execute = async (claim: Claim): Promise<void> => {
    current = runAttempt(s, claim, attemptSettings, log);
    if (draining.signal.aborted) current.stop('drain');
    await beat().catch(() => undefined);
    const fault = await current.done;
    current = null;
    if (fault !== null) await disks.fail(fault);
  };

  /** Stores what workers left here that were killed, and removes their folders. */
  const clearAway = async (): Promise<void> => {
    for (const folder of await deadFolders(settings.workDir)) {
      await storeBacklogs(s, folder, { ...attemptSettings, signal: draining.signal }, log);
      if (draining.signal.aborted) return;
      await rm(folder, { recursive: true, force: true }).catch(() => undefined);
    }
  };

  const live = async (): Promise<void> => {
    makeFolder(attemptSettings.workDir);
    await register();
    await clearAway();
    await becomeHealthy();
    const consumer = openWakeConsumer(s, pool);
    try {
      while (!draining.signal.aborted && workerId) {
        await cordon.untilOff(draining.signal);
        // Once without a wake-up whenever it becomes free; after that when woken, and every few seconds.
        const claim = await look(workerId);
        if (claim) {
          await execute(claim);
          continue;
        }
        await beat().catch(() => undefined);
        const wakeUp = await consumer.next(pollEveryMs, AbortSignal.any([draining.signal, cordon.signal()]));
        if (!wakeUp) continue;
        const woken = await look(workerId);
        await wakeUp.finish();
        if (woken) await execute(woken);
      }
    } finally {
      await consumer.close();
    }
  };

  const done = live()
    .catch((error: unknown) => {
      if (!draining.signal.aborted) log.error({ err: error }, 'the worker ends');
    })
    .finally(async () => {
      clearInterval(heartbeat);
      stopListening();
      if (workerId) await retireWorker(s, workerId).catch(() => undefined);
      await rm(attemptSettings.workDir, { recursive: true, force: true }).catch(() => undefined);
    })
    .then(() => ({ drained: draining.signal.aborted }));

  return {
    id: () => workerId,
    async drain() {
      beginDrain();
      await done;
    },
    ended: done,
  };
}
