import { setTimeout as sleep } from 'node:timers/promises';
import type { AttemptEvent } from '@moraine/contract';
import type { NewLogLine } from '@moraine/services';
import { untilDone } from './retry.js';
import { memorySpool, type Spool } from './spool.js';
import { storingMs as storingMsOf, within } from './within.js';

type Metrics = Extract<AttemptEvent, { type: 'metrics' }>;
export type OutboxEvent = Exclude<AttemptEvent, Metrics>;

/** Where things go; each is called again after a failure, so each must bear that. */
export interface OutboxSink {
  metrics(batch: readonly Metrics[]): Promise<void>;
  logs(batch: readonly NewLogLine[]): Promise<void>;
  /** `order` counts the events of the attempt and is the same when the event comes again. */
  event(event: OutboxEvent, order: number): Promise<void>;
}

export interface Outbox {
  push(event: AttemptEvent): void;
  log(line: NewLogLine): void;
  /** Resolves when all that was pushed so far is stored; rejects when that will never be. */
  drained(): Promise<void>;
  size(): number;
  /** Drops what waits: it is not ours to write any more. */
  close(): void;
  /** Stops and leaves what waits to whoever opens the spool next. */
  leave(): void;
}

export interface OutboxOptions {
  onError(error: unknown): void;
  onWait(error: unknown): void;
  /** Where it waits; default in memory. What is in it already is stored first. */
  spool?: Spool<Item>;
  /** Says that nothing more should come (true), or may again. */
  onFull?(isFull: boolean): void;
  /** How long an event may take to be stored. */
  storingMs?(event: OutboxEvent): number;
}

export type Item =
  | { kind: 'metrics'; event: Metrics }
  | { kind: 'log'; line: NewLogLine }
  | { kind: 'event'; event: OutboxEvent; order: number };

const BATCH_MAX = 1_000;
/** Metrics and logs that come within so long share a statement. */
const GATHER_MS = 200;

/**
 * Everything a child says, stored strictly in the order it was said and at least once, however long a server is away. So a checkpoint
 * is registered only when every step before it is stored, and a run that resumes from it has a hole nowhere.
 */
export function openOutbox(
  sink: OutboxSink,
  { onError, onWait, spool = memorySpool(), onFull = () => undefined, storingMs = storingMsOf }: OutboxOptions,
): Outbox {
  let isFull = false;
  let orders = 0;
  let failure: { error: unknown } | null = null;
  const stop = new AbortController();
  let running: Promise<void> | null = null;
  let storedAt = Number.NEGATIVE_INFINITY;

  const store = async (batch: readonly Item[]): Promise<void> => {
    const metrics = batch.flatMap((item) => (item.kind === 'metrics' ? [item.event] : []));
    const lines = batch.flatMap((item) => (item.kind === 'log' ? [item.line] : []));
    const options = { signal: stop.signal, onWait };
    if (metrics.length > 0) await untilDone(() => sink.metrics(metrics), options);
    if (lines.length > 0) await untilDone(() => sink.logs(lines), options);
    for (const item of batch) if (item.kind === 'event') await untilDone(() => storeEvent(item), options);
  };

  const storeEvent = ({ event, order }: Extract<Item, { kind: 'event' }>): Promise<void> =>
    within(storingMs(event), `Storing what the run said (${event.type})`, sink.event(event, order));
  const tellWhetherFull = (): void => {
    if (spool.isFull() === isFull) return;
    isFull = !isFull;
    onFull(isFull);
  };

  const run = async (): Promise<void> => {
    while (spool.size() > 0 && !stop.signal.aborted) {
      const items = spool.first(BATCH_MAX);
      const next = items.findIndex((item) => item.kind === 'event');
      // Metrics and lines up to the next event, or that event alone.
      const count = next === 0 ? 1 : next < 0 ? items.length : next;
      const gather = storedAt + GATHER_MS - performance.now();
      if (next < 0 && count < BATCH_MAX && gather > 0) {
        await sleep(gather);
        continue;
      }
      await store(items.slice(0, count));
      // Abandoned meanwhile: it is another's by now.
      if (stop.signal.aborted) return;
      spool.drop(count);
      tellWhetherFull();
      storedAt = performance.now();
    }
  };

  const wake = (): void => {
    if (stop.signal.aborted || failure) return;
    running ??= run()
      .catch((error: unknown) => {
        if (stop.signal.aborted) return;
        failure = { error };
        onError(error);
      })
      .finally(() => {
        running = null;
        if (spool.size() > 0) wake();
      });
  };

  const put = (item: Item): void => {
    if (stop.signal.aborted) return;
    spool.push(item);
    tellWhetherFull();
    wake();
  };

  if (spool.size() > 0) wake();
  return {
    push: (event) =>
      put(event.type === 'metrics' ? { kind: 'metrics', event } : { kind: 'event', event, order: ++orders }),
    log: (line) => put({ kind: 'log', line }),
    async drained() {
      while (running && !failure && !stop.signal.aborted) await running;
      if (failure) throw failure.error;
    },
    size: spool.size,
    close() {
      stop.abort();
      spool.remove();
    },
    leave() {
      stop.abort();
      spool.close();
    },
  };
}
