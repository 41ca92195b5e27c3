import { setTimeout as sleep } from 'node:timers/promises';
import type { Services } from './context.js';
import { compareIds, isStreamId, lastEventId as newestId, START, type StreamEntry, toEntries } from './positions.js';
import { streamKey } from './publish.js';
import { readerOf } from './stream-reader.js';

const PAGE = 500;
/** Messages that wait for a follower that does not read; beyond them it is told to start again. */
const WAITING_MAX = 20_000;

/**
 * Live messages of a run after `lastEventId`, exactly and in order; all that the buffer holds when it is null. A position that the buffer
 * no longer reaches gives one `reset` first and then what is new. Ends when `signal` does. All followers of a process share one connection.
 * Check before that the caller may see the run.
 */
export async function* followRun(
  s: Services,
  runId: string,
  lastEventId: string | null,
  signal: AbortSignal,
): AsyncGenerator<StreamEntry, void, undefined> {
  const key = streamKey(s, runId);
  let waiting: StreamEntry[] = [];
  let wake: () => void = () => undefined;
  const sink = (entries: readonly StreamEntry[]): void => {
    if (waiting.length <= WAITING_MAX) waiting.push(...entries);
    wake();
  };
  const onAbort = (): void => wake();
  const reader = readerOf(s);
  try {
    const newest = await untilAnswered(() => orThrow(newestId(s, runId)), signal);
    if (newest === null) return;
    // Listen first, then read what is there already: nothing falls between the two.
    reader.add(key, newest, sink);
    signal.addEventListener('abort', onAbort);

    let cursor = lastEventId ?? START;
    if (lastEventId !== null && (await untilAnswered(() => isLost(s, key, lastEventId), signal))) {
      yield { id: newest, message: { event: 'reset', data: { step: 0, attempt: 0 } } };
      cursor = newest;
    }
    for (let more = true; more && !signal.aborted; ) {
      const page = await untilAnswered(() => s.redis.xrange(key, `(${cursor}`, '+', 'COUNT', PAGE), signal);
      for (const entry of toEntries(page ?? [])) {
        yield entry;
        cursor = entry.id;
      }
      more = page?.length === PAGE;
    }
    while (!signal.aborted) {
      if (waiting.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        continue;
      }
      const entries = waiting;
      waiting = [];
      const overflowed = entries.length > WAITING_MAX;
      if (overflowed)
        yield { id: entries.at(-1)?.id ?? cursor, message: { event: 'reset', data: { step: 0, attempt: 0 } } };
      for (const entry of overflowed ? [] : entries) {
        if (compareIds(entry.id, cursor) <= 0) continue;
        yield entry;
        cursor = entry.id;
      }
      if (overflowed) cursor = entries.at(-1)?.id ?? cursor;
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    reader.remove(key, sink);
  }
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
