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
}

export type PartEvent =
  | { part: string; type: 'started' | 'adopted'; pid: number }
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

/**
 * Starts a part and starts it again whenever it ends: after 0.2 s, then twice as long each time up to 10 s, at once again after it has
 * lived for 20 s. Resolves with the first successful start; rejects when the first start fails.
 */
export async function keepRunning(
  name: string,
  start: () => Promise<RunningPart>,
  onEvent: (event: PartEvent) => void,
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
