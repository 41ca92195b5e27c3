import { type FetchedValue, invariant, type Session } from '@moraine/engine';
import type { Answer, BeginOptions, Completion } from './answer.js';
import { type AdapterRows, needsLogits, type RowAdapter } from './options.js';
import { bucketFor, decodeLogitsName, decodeName, type GenerationPlan, largest, prefillName } from './plan.js';
import { accept, choose, end, openRow, type Row } from './rows.js';

/** A prompt with its answer so far, its options, and its row of the caches once it has one. */
interface Seat {
  row: Row;
  options: BeginOptions;
  /** The one that it began with, whatever is loaded in its name since. */
  adapter: RowAdapter | null;
  slot: number;
  settle: { resolve(completion: Completion): void; reject(error: unknown): void };
}

/** The rows of a session's caches, and the prompts that wait for one. */
export interface Batcher {
  add(prompt: readonly number[], options: BeginOptions): Answer;
}

/**
 * Continuous batching (Yu et al. 2022, Orca, §4.1): rows decode side by side, each at its own place; one that ends leaves its row to the next prompt by
 * the next step, whatever the others do. Between two steps of rows under way at most one batch of prompts is read, so that no prompt holds them
 * up for longer.
 */
export function createBatcher(session: Session, plan: GenerationPlan, adapters: AdapterRows): Batcher {
  const waiting: Seat[] = [];
  /** Rows whose prompt is to be read, and those that are answered. */
  let entering: Seat[] = [];
  let seated: Seat[] = [];
  let isRunning = false;
  const pass = createPasses(session, plan, adapters);

  const isOver = (seat: Seat): boolean => {
    if (seat.row.finishReason === null) return false;
    const { ids, logprobs, top, ending, text, finishReason } = seat.row;
    seat.settle.resolve({ ids, logprobs, top, ending, text, finishReason });
    return true;
  };

  /** Takes prompts into free rows, the lowest first. */
  function seatWaiting(): void {
    const taken = new Set([...seated, ...entering].map(({ slot }) => slot));
    for (let slot = 0; slot < largest(plan.batches) && waiting.length > 0; slot++) {
      if (taken.has(slot)) continue;
      const [seat] = waiting.splice(0, 1) as [Seat];
      seat.slot = slot;
      entering.push(...through([seat], () => seatAdapter(seat)));
    }
  }

  function seatAdapter({ slot, adapter }: Seat): Map<Seat, unknown> {
    adapters.seat(slot, adapter);
    return new Map();
  }

  /** Seats that pass lives through: one that throws ends its own seats, not the others. */
  function through(seats: readonly Seat[], work: () => Map<Seat, unknown>): Seat[] {
    let failed: Map<Seat, unknown>;
    try {
      failed = work();
    } catch (error) {
      failed = new Map(seats.map((seat) => [seat, error]));
    }
    for (const [seat, error] of failed) seat.settle.reject(error);
    return seats.filter((seat) => !failed.has(seat) && !isOver(seat));
  }

  async function run(): Promise<void> {
    isRunning = true;
    // Prompts that come one after the other in one turn of the loop are read together.
    await new Promise(setImmediate);
    while (waiting.length + entering.length + seated.length > 0) {
      for (const list of [waiting, entering, seated]) list.splice(0, list.length, ...list.filter((s) => !isOver(s)));
      seatWaiting();
      const isAlone = seated.length === 0;
      while (entering.length > 0) {
        const group = nextGroup(entering, plan);
        entering = entering.filter((seat) => !group.seats.includes(seat));
        seated.push(...through(group.seats, () => pass.prefill(group)));
        if (!isAlone) break;
      }
      await new Promise(setImmediate);
      seated = seated.filter((seat) => !isOver(seat));
      if (seated.length > 0) seated = through(seated, () => pass.decode(seated));
      await new Promise(setImmediate);
    }
    isRunning = false;
  }

  return {
    add(prompt, options) {
      const row = openRow(prompt, options);
      const { promise, ...settle } = deferred<Completion>();
      // An answer that nobody waits for is no fault of the process.
      promise.catch(() => undefined);
      const seat = { row, options, adapter: adapters.find(options.adapter ?? null), slot: -1, settle };
      if (options.maxNewTokens === 0) end(row, 'length', options);
      if (!isOver(seat)) {
        waiting.push(seat);
        if (!isRunning) void run();
      }
      return {
        completion: promise,
        cancel: () => {
          if (row.finishReason === null) end(row, 'cancelled', options);
        },
      };
    },
  };
}

function deferred<T>() {
  let resolve: (value: T) => void = () => undefined;
  let reject: (error: unknown) => void = () => undefined;
  const promise = new Promise<T>((fulfil, refuse) => {
    [resolve, reject] = [fulfil, refuse];
  });
  return { promise, resolve, reject };
}

/** Prompts that are read in one pass. */
interface Group {
  seats: Seat[];
  batch: number;
  time: number;
}

/** The prompts of the first one's padded length, as many as make a batch that is at most half empty, or full. */
function nextGroup(entering: readonly Seat[], { batches, prefillTimes }: GenerationPlan): Group {
  const timeOf = ({ row }: Seat) => bucketFor(row.prompt.length, prefillTimes);
  const time = Math.min(...entering.map(timeOf));
  const alike = entering.filter((seat) => timeOf(seat) === time);
  const fitting = bucketFor(alike.length, batches);
  const batch = fitting <= 2 * alike.length ? fitting : (batches.findLast((size) => size <= alike.length) ?? fitting);
  return { seats: alike.slice(0, batch), batch, time };
}

/** Runs the signatures and gives every row its next token. Both return the seats that failed by themselves, with their errors. */
function createPasses(session: Session, plan: GenerationPlan, adapters: AdapterRows) {
  function take(seat: Seat, next: () => Parameters<typeof accept>[1], failed: Map<Seat, unknown>): void {
    const { row, options } = seat;
    try {
      accept(row, next(), options, plan.contextMax);
      options.onToken?.(row);
    } catch (error) {
      failed.set(seat, error);
    }
  }

  return {
    prefill({ seats, batch, time }: Group): Map<Seat, unknown> {
      const failed = new Map<Seat, unknown>();
      const ids = new Int32Array(batch * time);
      const lengths = new Int32Array(batch);
      const slots = new Int32Array(batch);
      // What is left of the batch repeats a prompt, to the same place.
      const all = Array.from({ length: batch }, (_, b) => seats[b] ?? (seats[0] as Seat));
      for (const [b, { row, slot }] of all.entries()) {
        ids.set(row.prompt, b * time);
        lengths[b] = row.prompt.length;
        slots[b] = slot;
      }
      const feeds = { ids, lengths, slots, ...adapters.feeds([...slots]) };
      const fetched = session.run(prefillName(batch, time), feeds);
      for (const [b, seat] of seats.entries())
        take(seat, () => choose(seat.row, logitsOf(fetched, batch, b), seat.options), failed);
      return failed;
    },

    decode(seats: readonly Seat[]): Map<Seat, unknown> {
      const failed = new Map<Seat, unknown>();
      const batch = bucketFor(Math.max(...seats.map(({ slot }) => slot)) + 1, plan.batches);
      const ids = new Int32Array(batch);
      const positions = new Int32Array(batch);
      for (const { row, slot } of seats) {
        ids[slot] = row.ids[row.ids.length - 1] ?? 0;
        positions[slot] = row.prompt.length + row.ids.length - 1;
      }
      const isAll = batch === largest(plan.batches);
      const active = seats.map(({ slot }) => slot);
      const feeds = { ids, positions, ...adapters.feeds(Array.from(ids.keys()), { isAll, active }) };
      if (seats.some(({ options }) => needsLogits(options))) {
        const fetched = session.run(decodeLogitsName(batch), feeds);
        for (const seat of seats)
          take(seat, () => choose(seat.row, logitsOf(fetched, batch, seat.slot), seat.options), failed);
        return failed;
      }
      const { best, logprobs } = session.run(decodeName(batch), feeds);
      for (const seat of seats) {
        const { slot } = seat;
        take(seat, () => ({ id: best?.[slot] ?? 0, logprob: logprobs?.[slot] ?? Number.NaN, top: [] }), failed);
      }
      return failed;
    },
  };
}

/** Row b of the answered logits [batch, V]. */
function logitsOf({ logits }: Record<string, FetchedValue>, batch: number, b: number): Float32Array {
  invariant(logits instanceof Float32Array, 'the signature returned no logits');
  const width = logits.length / batch;
  return logits.subarray(b * width, (b + 1) * width);
}
