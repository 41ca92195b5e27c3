import type { RowAdapter } from './options.js';
import { type GenerationPlan, largest } from './plan.js';

/** Tokens whose keys and values a row of the caches has, and whom they belong to. */
export interface Prefix {
  tenant: string;
  /** The adapter that they were computed with, itself: one that is loaded in its name later is another. */
  adapter: RowAdapter | null;
  tokens: readonly number[];
}

/** Where a prompt goes, and what of it is there already. */
export interface Seating {
  slot: number;
  /** How many of its tokens row `from` has, which may be the same. */
  length: number;
  from: number;
}

/** What the rows of the caches hold, so that a prompt that begins alike is not read again. */
export interface HeldRows {
  /** Takes a row for a prompt until `leave`; null: none is free. */
  take(prompt: Prefix): Seating | null;
  /** Takes the first free row for a prompt that uses nothing that is held. */
  takeFirst(prompt: Prefix): Seating | null;
  /** What a row that is taken holds by now. */
  set(slot: number, held: Prefix): void;
  /** Gives a row back; what it holds stays until another prompt takes it. */
  leave(slot: number): void;
  /** Gives a row back that holds nothing of use. */
  forget(slot: number): void;
}

/**
 * A prompt begins with the most that any row holds of it, by the same adapter for the same tenant; less than the shortest pass reads counts for nothing. It goes on
 * in that row where this is free and loses less than it gives, and otherwise in the one unused the longest.
 */
export function createHeldRows({ batches, prefillTimes, spans }: GenerationPlan): HeldRows {
  const usedMin = spans === undefined ? Number.POSITIVE_INFINITY : (prefillTimes[0] ?? 1);
  const rows = Array.from({ length: largest(batches) }, (_, slot) => ({
    slot,
    held: null as Prefix | null,
    isTaken: false,
    usedAt: 0,
  }));
  type Row = (typeof rows)[number];
  let clock = 0;
  const at = (slot: number): Row => rows[slot] as Row;

  function longest(prompt: Prefix): { from: Row | null; length: number } {
    let best: { from: Row | null; length: number } = { from: null, length: 0 };
    for (const from of rows) {
      const length = from.held === null ? 0 : sharedLength(from.held, prompt);
      if (length >= usedMin && length > best.length) best = { from, length };
    }
    return best;
  }

  return {
    takeFirst(prompt) {
      const row = rows.find(({ isTaken }) => !isTaken);
      if (row === undefined) return null;
      Object.assign(row, { isTaken: true, held: { ...prompt, tokens: [] } });
      return { slot: row.slot, from: row.slot, length: 0 };
    },
    take(prompt) {
      const { from, length } = longest(prompt);
      const free = rows.filter(({ isTaken }) => !isTaken).sort((a, b) => a.usedAt - b.usedAt);
      const goesOn = from?.isTaken === false && (from.held?.tokens.length ?? 0) - length < length;
      const row = goesOn ? from : free[0];
      if (row === undefined) return null;
      if (from !== null) from.usedAt = ++clock;
      row.isTaken = true;
      row.held = { ...prompt, tokens: prompt.tokens.slice(0, length) };
      return { slot: row.slot, from: from?.slot ?? row.slot, length };
    },
    set(slot, held) {
      at(slot).held = held;
    },
    leave(slot) {
      Object.assign(at(slot), { isTaken: false, usedAt: ++clock });
    },
    forget(slot) {
      Object.assign(at(slot), { isTaken: false, usedAt: 0, held: null });
    },
  };
}

/** How many tokens a prompt begins with that are held for it; its last is always read, because what follows it is asked. */
function sharedLength(held: Prefix, { tenant, adapter, tokens }: Prefix): number {
  if (held.tenant !== tenant || held.adapter !== adapter) return 0;
  const most = Math.min(held.tokens.length, tokens.length - 1);
  let length = 0;
  while (length < most && held.tokens[length] === tokens[length]) length += 1;
  return length;
}
