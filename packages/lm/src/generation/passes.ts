import { type FetchedValue, invariant, type Session } from '@moraine/engine';
import type { BeginOptions } from './answer.js';
import { type AdapterRows, needsLogits, type RowAdapter } from './options.js';
import {
  bucketFor,
  CLEAR_ROW,
  copyName,
  decodeName,
  extendName,
  type GenerationPlan,
  largest,
  prefillName,
  readsByExtending,
  spansOf,
} from './plan.js';
import { accept, choose, notANumber, type Row } from './rows.js';

/** A prompt with its answer so far, its options, and its row of the caches once it has one. */
export interface Seat {
  row: Row;
  options: BeginOptions;
  /** The one that it began with, whatever is loaded in its name since. */
  adapter: RowAdapter | null;
  slot: number;
  /** How many tokens of prompt and answer its row has keys and values of. */
  read: number;
}

/** How many tokens of its prompt are not read yet. */
export const leftOf = ({ row, read }: Seat): number => row.prompt.length - read;

/** Seats whose tokens are read in one pass: whole prompts or their first chunks of one padded length, or a later chunk of one. */
export interface Group<S extends Seat> {
  seats: S[];
  batch: number;
  time: number;
}

/**
 * The first seat's next chunk; where it is the first, with those of the others that are padded to the same length, as many as make a batch that is at
 * most half empty, or full. Beside streams a pass reads no more than one chunk's tokens; without them the most that can be read together come first, because
 * they could not any more once the others stream.
 */
export function nextGroup<S extends Seat>(
  entering: readonly S[],
  plan: GenerationPlan,
  hasStreams: boolean,
): Group<S> | null {
  const { batches, prefillTimes, spans } = plan;
  const timeOf = (seat: S) => bucketFor(leftOf(seat), prefillTimes);
  const alikeTo = (one: S): S[] =>
    one.read > 0 ? [one] : entering.filter((seat) => seat.read === 0 && timeOf(seat) === timeOf(one));
  const groups = entering.map(alikeTo);
  const alike = hasStreams ? groups[0] : groups.toSorted((a, b) => b.length - a.length)[0];
  const [first] = alike ?? [];
  if (alike === undefined || first === undefined) return null;
  const time = timeOf(first);
  if (first.read > 0) return { seats: [first], batch: 1, time };
  const isSmall = spans !== undefined && hasStreams;
  const [least = 1] = batches;
  const sizes = batches.filter((size) => !isSmall || size === least || size * time <= largest(prefillTimes));
  const fitting = bucketFor(alike.length, sizes);
  const batch = fitting <= 2 * alike.length ? fitting : (sizes.findLast((size) => size <= alike.length) ?? fitting);
  return { seats: alike.slice(0, batch), batch, time };
}

/**
 * Runs the signatures and gives every row its next token, or as much of its prompt as a pass reads. What a row's own options or scores throw is its own: such
 * seats are returned with their errors.
 */
export function createPasses(session: Session, plan: GenerationPlan, adapters: AdapterRows) {
  type Failed<S> = Map<S, unknown>;

  function take<S extends Seat>(seat: S, next: () => Parameters<typeof accept>[1], failed: Failed<S>): void {
    const { row, options } = seat;
    try {
      accept(row, next(), options, plan.contextMax);
      options.onToken?.(row);
    } catch (error) {
      failed.set(seat, error);
    }
  }

  /** The token after a prompt that was read to its end; else only whether its scores are numbers. */
  function afterPrompt<S extends Seat>(seat: S, logits: Float32Array, failed: Failed<S>): void {
    if (leftOf(seat) === 0) take(seat, () => choose(seat.row, logits, seat.options), failed);
    else if (!Number.isFinite(logits[0])) failed.set(seat, notANumber(seat.read));
  }

  function prefill<S extends Seat>({ seats, batch, time }: Group<S>): Failed<S> {
    const failed: Failed<S> = new Map();
    const ids = new Int32Array(batch * time);
    const lengths = new Int32Array(batch);
    const slots = new Int32Array(batch);
    // What is left of the batch repeats a prompt, to the same place.
    const all = Array.from({ length: batch }, (_, b) => seats[b] ?? (seats[0] as S));
    for (const [b, { row, slot }] of all.entries()) {
      const chunk = row.prompt.slice(0, time);
      ids.set(chunk, b * time);
      lengths[b] = chunk.length;
      slots[b] = slot;
    }
    const feeds = { ids, lengths, slots, ...adapters.feeds([...slots]) };
    const fetched = session.run(prefillName(batch, time), feeds);
    for (const [b, seat] of seats.entries()) {
      seat.read = lengths[b] ?? 0;
      afterPrompt(seat, logitsOf(fetched, batch, b), failed);
    }
    return failed;
  }

  function extend<S extends Seat>(seat: S, time: number): Failed<S> {
    const failed: Failed<S> = new Map();
    const { row, slot, read } = seat;
    const chunk = row.prompt.slice(read, read + time);
    const ids = new Int32Array(time);
    ids.set(chunk);
    const span = bucketFor(Math.max(time, read + chunk.length), spansOf(plan));
    const feeds = { ids, start: one(read), length: one(chunk.length), slot: one(slot), ...adapters.feeds([slot]) };
    const fetched = session.run(extendName(time, span), feeds);
    seat.read += chunk.length;
    afterPrompt(seat, logitsOf(fetched, 1, 0), failed);
    return failed;
  }

  return {
    /** Reads the chunk of a group. */
    read: <S extends Seat>(group: Group<S>): Failed<S> => {
      const [first] = group.seats;
      return first !== undefined && readsByExtending(plan, group.batch) ? extend(first, group.time) : prefill(group);
    },

    /** The next token of seats whose prompts are read, but perhaps for the last token. */
    decode<S extends Seat>(seats: readonly S[]): Failed<S> {
      const failed: Failed<S> = new Map();
      const batch = bucketFor(seats.length, plan.batches);
      const span = bucketFor(Math.max(...seats.map(({ read }) => read)) + 1, spansOf(plan));
      const isAll = batch === largest(plan.batches);
      const active = seats.map(({ slot }) => slot);
      const slots = isAll ? [...Array(batch).keys()] : filledUp(active, batch);
      const placeOf = new Map(slots.map((slot, b) => [slot, b]));
      const ids = new Int32Array(batch);
      // Rows that do not answer are written to at the place where no token is: they hold what others may go on with.
      const positions = new Int32Array(batch).fill(plan.contextMax - 1);
      for (const { row, slot, read } of seats) {
        const b = placeOf.get(slot) ?? 0;
        ids[b] = row.prompt[read] ?? row.ids[read - row.prompt.length] ?? 0;
        positions[b] = read;
      }
      const ofAdapters = adapters.feeds(slots, { isAll, active });
      const feeds = { ids, positions, ...(isAll ? {} : { slots: Int32Array.from(slots) }), ...ofAdapters };
      const hasLogits = seats.some(({ options }) => needsLogits(options));
      const fetched = session.run(decodeName(batch, span), feeds, hasLogits ? ['logits'] : ['best', 'logprobs']);
      const { best, logprobs } = fetched;
      for (const seat of seats) {
        const { slot, row, options } = seat;
        const b = placeOf.get(slot) ?? 0;
        seat.read += 1;
        const next = hasLogits
          ? () => choose(row, logitsOf(fetched, batch, b), options)
          : () => ({ id: best?.[b] ?? 0, logprob: logprobs?.[b] ?? Number.NaN, top: [] });
        take(seat, next, failed);
      }
      return failed;
    },

    /** Copies the first `length` places of a row of the caches over those of another. */
    copy(from: number, to: number, length: number): void {
      session.run(copyName(bucketFor(length, spansOf(plan))), { from: one(from), to: one(to) });
    },

    /** Rids a row of what is no number. */
    clear(slot: number): void {
      session.run(CLEAR_ROW, { row: one(slot) });
    },
  };
}

/** Rows that answer, and as many others as a batch takes besides. */
function filledUp(active: readonly number[], batch: number): number[] {
  const slots = [...active];
  for (let slot = 0; slots.length < batch; slot++) if (!active.includes(slot)) slots.push(slot);
  return slots;
}

const one = (value: number): Int32Array => Int32Array.of(value);

/** Row b of the answered logits [batch, V]. */
function logitsOf({ logits }: Record<string, FetchedValue>, batch: number, b: number): Float32Array {
  invariant(logits instanceof Float32Array, 'the signature returned no logits');
  const width = logits.length / batch;
  return logits.subarray(b * width, (b + 1) * width);
}
