import { setTimeout as sleep } from 'node:timers/promises';
import { compareIds } from '@moraine/contract/events';
import type { Services } from './context.js';
import { isStreamId, lastEventId as newestId, START, type StreamEntry, toEntries } from './positions.js';
import { streamKey } from './publish.js';
import { readerOf, type Sink } from './stream-reader.js';

const PAGE = 500;
/** Messages that wait for a follower that does not read; beyond them they are read again from the buffer. */
const WAITING_MAX = 20_000;

/** A message and the run it is about. */
export interface RunEntry extends StreamEntry {
  runId: string;
}

/**
 * Live messages of runs, each after its position, exactly and in order; all that the buffer holds where the position is null. A position
 * that the buffer no longer reaches gives one `reset` first and then what is new. Ends when `signal` does. All followers of a process
 * share one connection. Check before that the caller may see the runs.
 */
export async function* followRuns(
  s: Services,
  positions: ReadonlyMap<string, string | null>,
  signal: AbortSignal,
): AsyncGenerator<RunEntry, void, undefined> {
  const cursors = new Map(positions);
  const inbox = openInbox(s);
  signal.addEventListener('abort', inbox.wake);
  try {
    // Listen first, then read what is there already: nothing falls between the two.
    for (const runId of cursors.keys()) {
      const newest = await untilAnswered(() => orThrow(newestId(s, runId)), signal);
      if (newest === null) return;
      inbox.listen(runId, newest);
    }
    while (!signal.aborted) {
      for (const runId of cursors.keys()) yield* catchUp(s, runId, cursors, signal);
      while (!signal.aborted && !inbox.hasOverflowed()) {
        for (const entry of await inbox.take()) {
          const cursor = cursors.get(entry.runId) ?? START;
          if (compareIds(entry.id, cursor) <= 0) continue;
          cursors.set(entry.runId, entry.id);
          yield entry;
        }
      }
      inbox.clear();
    }
  } finally {
    signal.removeEventListener('abort', inbox.wake);
    inbox.close();
  }
}

/** What the buffer holds after a run's cursor, which moves with what is given; a `reset` first where messages after it are gone. */
async function* catchUp(
  s: Services,
  runId: string,
  cursors: Map<string, string | null>,
  signal: AbortSignal,
): AsyncGenerator<RunEntry, void, undefined> {
  const key = streamKey(s, runId);
  const from = cursors.get(runId) ?? null;
  if (from !== null && (await untilAnswered(() => isLost(s, key, from), signal))) {
    const newest = await untilAnswered(() => orThrow(newestId(s, runId)), signal);
    if (newest === null) return;
    cursors.set(runId, newest);
    yield { runId, id: newest, message: { event: 'reset', data: { step: 0, attempt: 0 } } };
  }
  for (let more = true; more && !signal.aborted; ) {
    const after = cursors.get(runId) ?? START;
    const page = await untilAnswered(() => s.redis.xrange(key, `(${after}`, '+', 'COUNT', PAGE), signal);
    for (const entry of toEntries(page ?? [])) {
      cursors.set(runId, entry.id);
      yield { runId, ...entry };
    }
    more = page?.length === PAGE;
  }
}

/** Gathers what the shared reader hands out for some runs until it is taken. */
function openInbox(s: Services) {
  const reader = readerOf(s);
  const sinks = new Map<string, Sink>();
  let waiting: RunEntry[] = [];
  let wake: () => void = () => undefined;
  return {
    listen(runId: string, position: string): void {
      const sink: Sink = (entries) => {
        if (waiting.length <= WAITING_MAX) for (const entry of entries) waiting.push({ runId, ...entry });
        wake();
      };
      sinks.set(runId, sink);
      reader.add(streamKey(s, runId), position, sink);
    },
    /** What came; waits until something has, or `wake` is called. */
    async take(): Promise<RunEntry[]> {
      if (waiting.length === 0)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      return waiting.splice(0);
    },
    wake: (): void => wake(),
    hasOverflowed: (): boolean => waiting.length > WAITING_MAX,
    clear(): void {
      waiting = [];
    },
    close(): void {
      for (const [runId, sink] of sinks) reader.remove(streamKey(s, runId), sink);
    },
  };
}

/** Whether messages after this position may be gone: it is before the buffer, after its end (a wiped server), or no position at all. */
async function isLost(s: Services, key: string, id: string): Promise<boolean> {
  if (!isStreamId(id)) return true;
  const [first, last] = await Promise.all([
    s.redis.xrange(key, '-', '+', 'COUNT', 1),
    s.redis.xrevrange(key, '+', '-', 'COUNT', 1),
  ]);
  const firstId = first[0]?.[0];
  const lastId = last[0]?.[0];
  if (firstId === undefined || lastId === undefined) return id !== START;
  return compareIds(id, firstId) < 0 || compareIds(id, lastId) > 0;
}

async function orThrow(id: Promise<string | null>): Promise<string> {
  const found = await id;
  if (found === null) throw new Error('Redis is away');
  return found;
}

/** Asks again until Redis answers; null when nobody waits for it any more. */
async function untilAnswered<T>(ask: () => Promise<T>, signal: AbortSignal): Promise<T | null> {
  while (!signal.aborted) {
    try {
      return await ask();
    } catch {
      await sleep(250);
    }
  }
  return null;
}
