import { setTimeout as sleep } from 'node:timers/promises';
import { explain } from '@moraine/contract';
import type { ProcessId } from './processes.js';

/** A part of the stack while it runs. */
export interface RunningPart {
  id: ProcessId;
  adopted: boolean;
  ended: Promise<void>;
  /** Asks it to finish its work and waits until it is gone. */
  stop(): Promise<void>;
  /** Ends it now, whatever it does. */
  kill(): Promise<void>;
  /** Whether it responds; absent where running is enough. */
  isAlive?(): Promise<boolean>;
  /** Ends it although it does not respond; default `kill`. */
  crash?(): Promise<void>;
}

export type PartEvent =
  | { part: string; type: 'started' | 'adopted'; pid: number }
  | { part: string; type: 'hung'; silentMs: number }
  | { part: string; type: 'ended'; restartMs: number }
  | { part: string; type: 'failed'; message: string; restartMs: number };

export interface KeptPart {
  name: string;
  /** What runs now; null between an end and the next start. */
  current(): RunningPart | null;
  /** Ends what runs, which is then started again at once (with whatever `start` finds new). */
  restart(): Promise<void>;
  stop(): Promise<void>;
  kill(): Promise<void>;
}

const FIRST_MS = 200;
const LONGEST_MS = 10_000;
/** A part that lived this long has shown that it can. */
const HEALTHY_MS = 20_000;

export interface Liveness {
  /** Between two questions whether a part is alive. */
  everyMs: number;
  /** Without an answer for so long, and to three questions, it hangs. */
  hungMs: number;
}
const LIVENESS: Liveness = { everyMs: 5_000, hungMs: 20_000 };
const MISSES = 3;

/** Asks a part whether it is alive until it has ended; one that hangs is ended, so that it is started again. */
export async function watchLiveness(
  part: RunningPart,
  { everyMs, hungMs }: Liveness,
  onHung: (silentMs: number) => void,
): Promise<void> {
  if (!part.isAlive) return;
  let isOver = false;
  void part.ended.then(() => {
    isOver = true;
  });
  let heardAt = performance.now();
  for (let misses = 0; !isOver; ) {
    await sleep(everyMs, undefined, { ref: false });
    if (isOver) return;
    const isAlive = await part.isAlive().catch(() => false);
    if (isAlive) heardAt = performance.now();
    misses = isAlive ? 0 : misses + 1;
    const silentMs = performance.now() - heardAt;
    if (isOver || misses < MISSES || silentMs < hungMs) continue;
    onHung(silentMs);
    await (part.crash ?? part.kill)();
    return;
  }
}

/**
 * Starts a part and starts it again whenever it ends or hangs: after 0.2 s, then twice as long each time up to 10 s, at once again after it has
 * lived for 20 s. Resolves with the first successful start; rejects when the first start fails.
 */
export async function keepRunning(
  name: string,
  start: () => Promise<RunningPart>,
  onEvent: (event: PartEvent) => void,
  liveness = LIVENESS,
): Promise<KeptPart> {
  let running: RunningPart | null = null;
  const over = new AbortController();
  let waitMs = 0;

  const announce = (part: RunningPart): RunningPart => {
    onEvent({ part: name, type: part.adopted ? 'adopted' : 'started', pid: part.id.pid });
    return part;
  };
  running = announce(await start());

  const loop = async (): Promise<void> => {
    while (!over.signal.aborted) {
      if (running) {
        const since = performance.now();
        void watchLiveness(running, liveness, (silentMs) => {
          if (!over.signal.aborted) onEvent({ part: name, type: 'hung', silentMs });
        }).catch(() => undefined);
        await running.ended;
        running = null;
        if (over.signal.aborted) return;
        waitMs =
          performance.now() - since > HEALTHY_MS ? FIRST_MS : Math.min(Math.max(waitMs * 2, FIRST_MS), LONGEST_MS);
        onEvent({ part: name, type: 'ended', restartMs: waitMs });
      }
      await sleep(waitMs, undefined, { signal: over.signal }).catch(() => undefined);
      if (over.signal.aborted) return;
      try {
        running = await start();
        // Stopped while it was starting: `stop` below ends it.
        if (!over.signal.aborted) announce(running);
      } catch (error) {
        waitMs = Math.min(Math.max(waitMs * 2, FIRST_MS), LONGEST_MS);
        onEvent({ part: name, type: 'failed', message: explain(error), restartMs: waitMs });
      }
    }
  };
  const looping = loop();
  const finish = async (how: 'stop' | 'kill'): Promise<void> => {
    over.abort();
    await running?.[how]();
    await looping;
    await running?.[how]();
  };
  return {
    name,
    current: () => running,
    restart: async () => {
      waitMs = 0;
      await running?.stop();
    },
    stop: () => finish('stop'),
    kill: () => finish('kill'),
  };
}
