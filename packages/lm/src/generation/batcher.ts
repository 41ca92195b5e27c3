import type { Session } from '@moraine/engine';
import type { Answer, BeginOptions, Completion } from './answer.js';
import { createHeldRows, type Prefix, type Seating } from './held-rows.js';
import type { AdapterRows } from './options.js';
import { createPasses, leftOf, nextGroup, type Seat } from './passes.js';
import type { GenerationPlan } from './plan.js';
import { end, openRow } from './rows.js';
import { nextTurn } from './turns.js';

interface WaitedFor extends Seat {
  settle: { resolve(completion: Completion): void; reject(error: unknown): void };
}

/** The rows of a session's caches, and the prompts that wait for one. */
export interface Batcher {
  add(prompt: readonly number[], options: BeginOptions): Answer;
}

const NO_SLOT = -1;

/**
 * Continuous batching (Yu et al. 2022, Orca, §4.1): rows decode side by side, each at its own place; one that ends leaves its row to the next prompt by
 * the next step, whatever the others do. Between two steps of rows under way a chunk is read (Agrawal et al. 2023, SARATHI, arXiv:2308.16369, §4.2) and another
 * one until the plan's `readMs` are over, the prompts by turns, so that no prompt holds up streams or other prompts for longer. The last token of a prompt, where no
 * other is left to read, needs no pass of its own: the next step reads it.
 */
export function createBatcher(session: Session, plan: GenerationPlan, adapters: AdapterRows): Batcher {
  let waiting: WaitedFor[] = [];
  /** Rows whose prompt is to be read, and those that are answered. */
  let entering: WaitedFor[] = [];
  let seated: WaitedFor[] = [];
  let isRunning = false;
  const pass = createPasses(session, plan, adapters);
  const held = createHeldRows(plan);
  /** Rows in which there may be what is no number. */
  const spoilt = new Set<number>();

  const turn = () => new Promise(setImmediate);
  const going = (seats: readonly WaitedFor[]) => seats.filter((seat) => !isOver(seat));

  const heldBy = ({ row, options, adapter, read }: Seat): Prefix => ({
    tenant: options.tenant ?? '',
    adapter,
    tokens: [...row.prompt, ...row.ids].slice(0, read),
  });

  function spoil(slot: number): void {
    spoilt.add(slot);
    held.forget(slot);
  }

  function isOver(seat: WaitedFor): boolean {
    if (seat.row.finishReason === null) return false;
    const { ids, logprobs, top, ending, text, finishReason, cached } = seat.row;
    if (seat.slot !== NO_SLOT) {
      // Others' steps computed its row with an adapter of which no pass has shown that it gives numbers.
      if (seat.adapter !== null && seat.read === 0) spoil(seat.slot);
      else {
        held.set(seat.slot, heldBy(seat));
        held.leave(seat.slot);
      }
    }
    seat.settle.resolve({ ids, logprobs, top, ending, text, finishReason, cached });
    return true;
  }

  function fail(seat: WaitedFor, error: unknown): void {
    if (seat.slot !== NO_SLOT) spoil(seat.slot);
    seat.settle.reject(error);
  }

  /** A prompt that has its row goes on where it belongs. */
  const enter = (seat: WaitedFor) => (leftOf(seat) > 1 ? entering : seated).push(seat);

  /** Whether somebody has had a token and waits for the next. */
  const hasStreams = (): boolean => seated.some(({ row }) => row.ids.length > 0);

  /** Takes prompts into free rows, by turns; beside streams up to one for which numbers are copied. Returns whether it took any. */
  function seatWaiting(): boolean {
    for (let taken = 0; ; taken++) {
      const seat = waiting[nextTurn(waiting, [...entering, ...seated])];
      const place = seat === undefined ? null : placeFor(seat);
      if (seat === undefined || place === null) return taken > 0;
      waiting = waiting.filter((one) => one !== seat);
      seat.slot = place.slot;
      for (const taker of through([seat], () => seatAt(seat, place))) enter(taker);
      if (hasStreams() && (place.from !== place.slot || seat.adapter !== null)) return true;
    }
  }

  function placeFor({ row, options, adapter }: WaitedFor): Seating | null {
    const prompt = { tenant: options.tenant ?? '', adapter, tokens: row.prompt };
    return options.readsWhole === true ? held.takeFirst(prompt) : held.take(prompt);
  }

  function seatAt(seat: WaitedFor, { slot, from, length }: Seating): Map<WaitedFor, unknown> {
    adapters.seat(slot, seat.adapter);
    if (spoilt.has(slot)) pass.clear(slot);
    spoilt.delete(slot);
    if (from !== slot) pass.copy(from, slot, length);
    seat.read = length;
    seat.row.cached = length;
    return new Map();
  }

  /** Seats that a pass lives through: one that throws ends its own seats, not the others. */
  function through(seats: readonly WaitedFor[], work: () => Map<WaitedFor, unknown>): WaitedFor[] {
    let failed: Map<WaitedFor, unknown>;
    try {
      failed = work();
    } catch (error) {
      failed = new Map(seats.map((seat) => [seat, error]));
    }
    for (const [seat, error] of failed) fail(seat, error);
    return seats.filter((seat) => !failed.has(seat) && !isOver(seat));
  }

  function readNext(): void {
    const group = nextGroup(entering, plan, hasStreams());
    if (group === null) return;
    entering = entering.filter((seat) => !group.seats.includes(seat));
    for (const seat of through(group.seats, () => pass.read(group))) {
      held.set(seat.slot, heldBy(seat));
      enter(seat);
    }
  }

  /** Seats prompts and reads a chunk, again and again for as long as the plan says; beside streams small ones. */
  async function read(): Promise<void> {
    const end = performance.now() + (plan.readMs ?? 0);
    for (;;) {
      [waiting, entering] = [going(waiting), going(entering)];
      const hasSeated = seatWaiting();
      const isReading = entering.length > 0;
      readNext();
      await turn();
      if (!(hasSeated || isReading) || performance.now() >= end) return;
    }
  }

  async function run(): Promise<void> {
    isRunning = true;
    // Prompts that come one after the other in one turn of the loop are read together.
    await turn();
    while (waiting.length + entering.length + seated.length > 0) {
      seated = going(seated);
      await read();
      seated = going(seated);
      if (seated.length > 0) seated = through(seated, () => pass.decode(seated));
      await turn();
    }
    isRunning = false;
  }

  return {
    add(prompt, options) {
      const row = openRow(prompt, options);
      const { promise, ...settle } = deferred<Completion>();
      // An answer that nobody waits for is no fault of the process.
      promise.catch(() => undefined);
      const adapter = adapters.find(options.adapter ?? null);
      const seat: WaitedFor = { row, options, adapter, slot: NO_SLOT, read: 0, settle };
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
