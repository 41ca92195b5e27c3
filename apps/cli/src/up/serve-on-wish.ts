import { explain } from '@moraine/contract';
import { ServeWish, serveChannel } from '@moraine/contract/serving';
import { Redis } from 'ioredis';
import { type Liveness, type PartEvent, type RunningPart, watchLiveness } from './keep-running.js';

/** A process that answers for a base. */
export interface ServingPart extends RunningPart {
  /** For how long nobody has asked it; null while it does not say, as before it answers. */
  idleMs?(): number | null;
}

export interface WishOptions {
  /** Processes at a time. */
  processesMax: number;
  /** Starts a process for a base, by its content; resolves once it runs. */
  start(base: string): Promise<ServingPart>;
  onEvent(event: PartEvent): void;
  /** Between two starts for one base; default 2 s. */
  pauseMs?: number;
  /** When a process that does not respond is ended; the next wish starts another. */
  liveness?: Liveness;
}

export interface OnWish {
  /** What runs now. */
  parts(): RunningPart[];
  /** Hears wishes on this Redis, and no longer on the one before. */
  listen(redisUrl: string): void;
  stop(): Promise<void>;
  kill(): Promise<void>;
}

const PAUSE_MS = 2_000;
/** Large weights, one prompt of a large base, or the graph that is made for it may hold its loop up for a minute. */
const LIVENESS: Liveness = { everyMs: 5_000, hungMs: 120_000 };

interface Kept {
  base: string;
  part: ServingPart | null;
  wishedAt: number;
  /** It was asked to end. Asked twice it would drop what it answers. */
  isEnding: boolean;
}

/** For how long nobody has wanted it: neither by a wish, of which there are none while it answers, nor by a request. */
const unwantedMs = ({ part, wishedAt }: Kept): number =>
  Math.min(performance.now() - wishedAt, part?.idleMs?.() ?? Number.POSITIVE_INFINITY);

/**
 * Starts an inference process for each base that a request waits for. A process ends by itself when it is idle; a wish for one more than may run
 * ends the one that was wanted the longest ago, after what it answers. One that hangs is ended, so that the next wish starts another.
 */
export function serveOnWish({
  processesMax,
  start,
  onEvent,
  pauseMs = PAUSE_MS,
  liveness = LIVENESS,
}: WishOptions): OnWish {
  const kept = new Map<string, Kept>();
  const pausedUntil = new Map<string, number>();
  let isOver = false;

  const keep = (base: string, part: ServingPart): void => {
    const one = { base, part, wishedAt: performance.now(), isEnding: false };
    kept.set(base, one);
    onEvent({ part: nameOf(base), type: part.adopted ? 'adopted' : 'started', pid: part.id.pid });
    void watchLiveness(part, liveness, (silentMs) => {
      if (!isOver) onEvent({ part: nameOf(base), type: 'hung', silentMs });
    }).catch(() => undefined);
    void part.ended.then(() => {
      if (kept.get(base) === one) kept.delete(base);
    });
  };
  const makeRoom = async (): Promise<boolean> => {
    if (kept.size < processesMax) return true;
    if ([...kept.values()].some(({ isEnding }) => isEnding)) return false;
    const [oldest] = [...kept.values()]
      .filter(({ part }) => part !== null)
      .sort((a, b) => unwantedMs(b) - unwantedMs(a));
    if (oldest === undefined) return false;
    oldest.isEnding = true;
    void oldest.part?.stop();
    return false;
  };
  const onWish = async (base: string): Promise<void> => {
    const there = kept.get(base);
    if (there) {
      there.wishedAt = performance.now();
      return;
    }
    if (isOver || performance.now() < (pausedUntil.get(base) ?? 0) || !(await makeRoom())) return;
    kept.set(base, { base, part: null, wishedAt: performance.now(), isEnding: false });
    try {
      const part = await start(base);
      if (isOver) await part.stop();
      else keep(base, part);
    } catch (error) {
      kept.delete(base);
      onEvent({ part: nameOf(base), type: 'failed', message: explain(error), restartMs: pauseMs });
    }
    pausedUntil.set(base, performance.now() + pauseMs);
  };

  let redis: Redis | null = null;
  const listen = (redisUrl: string): void => {
    redis?.disconnect();
    redis = new Redis(redisUrl, { connectionName: 'moraine-serve', maxRetriesPerRequest: null });
    redis.on('error', () => undefined);
    redis.on('message', (_channel, text) => {
      const wish = wishOf(text);
      if (wish !== null) void onWish(wish.base);
    });
    redis.subscribe(serveChannel()).catch(() => undefined);
  };
  const finish = async (how: 'stop' | 'kill'): Promise<void> => {
    isOver = true;
    redis?.disconnect();
    await Promise.all([...kept.values()].map(({ part }) => part?.[how]()));
  };
  return {
    parts: () => [...kept.values()].flatMap(({ part }) => part ?? []),
    listen,
    stop: () => finish('stop'),
    kill: () => finish('kill'),
  };
}

function wishOf(text: string): ServeWish | null {
  try {
    return ServeWish.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

export const nameOf = (base: string): string => `inference-${base.slice(0, 12)}`;
