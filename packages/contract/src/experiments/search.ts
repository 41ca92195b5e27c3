import { type AshaSearch, drawRates } from './asha.js';
import type { Search } from './spec.js';

/** A search that tries every rate to the end, with the rate that it starts at. */
export type WholeSearch =
  | Exclude<Search, { type: 'bracket' | 'asha' }>
  | (Extract<Search, { type: 'bracket' }> & { start: number });
export type ArmSearch = WholeSearch | AshaSearch;

/** What came of a rate. */
export interface TriedRate {
  rate: number;
  /** Whether its run has not ended. */
  isActive: boolean;
  /** Validation loss in nats; null where the run diverged, which is worse than any. */
  score: number | null;
}

/** Where a search stands: rates to try now, or what it found, or that it waits for runs. */
export type SearchState =
  | { is: 'open'; start: number[] }
  | { is: 'found'; rate: number; isBracketed: boolean; note: string }
  | { is: 'lost'; note: string };

const RATE_MAX = 10;

/** Four digits, so that the same step of the ladder is the same number whenever it is computed. */
const short = (rate: number): number => Number(rate.toPrecision(4));

/** Rates that a search begins with, in the order in which they start. */
export function firstRates(search: ArmSearch): number[] {
  switch (search.type) {
    case 'bracket':
      return [-1, 0, 1].map((at) => ladder(search, at)).filter((rate) => rate <= RATE_MAX);
    case 'grid':
      return [...new Set(search.learning_rates)].sort((a, b) => a - b);
    case 'random':
      return drawRates(search).sort((a, b) => a - b);
    case 'asha':
      return drawRates(search);
  }
}

/** How many rates a search tries at least and at most. */
export function rateCounts(search: ArmSearch): { least: number; most: number } {
  const first = firstRates(search).length;
  return { least: first, most: search.type === 'bracket' ? Math.max(first, search.max_runs) : first };
}

/**
 * The next rates of a search, or what it found. Pure: what was tried so far is all that it knows, so it goes on from wherever a kill left it.
 * A bracket search tries a rate beyond the best one while that is the least or the largest of those tried.
 */
export function searchStep(search: WholeSearch, tried: readonly TriedRate[]): SearchState {
  const first = firstRates(search);
  const missing = first.filter((rate) => !tried.some((one) => one.rate === rate));
  if (missing.length > 0) return { is: 'open', start: missing };
  if (tried.some(({ isActive }) => isActive)) return { is: 'open', start: [] };
  const sorted = tried.toSorted((a, b) => a.rate - b.rate);
  const next = search.type === 'bracket' ? beyond(search, sorted) : [];
  return next.length > 0 ? { is: 'open', start: next } : conclude(sorted);
}

const ladder = ({ start, factor }: { start: number; factor: number }, at: number): number =>
  short(start * factor ** at);

/** The rates beyond an edge that the best rate is at; none once it has neighbours on both sides, or no more may be tried. */
function beyond(search: Extract<ArmSearch, { type: 'bracket' }>, sorted: readonly TriedRate[]): number[] {
  const [lowest, highest] = [sorted[0], sorted.at(-1)];
  if (!lowest || !highest) return [];
  const best = bestOf(sorted);
  const isLow = best.length === 0 || best.includes(lowest);
  const [low, high] = [stepFrom(search, lowest.rate, -1), stepFrom(search, highest.rate, 1)];
  const sides = [...(isLow ? [low] : []), ...(best.includes(highest) && high <= RATE_MAX ? [high] : [])];
  return sides.slice(0, Math.max(0, search.max_runs - sorted.length));
}

/** The step of the ladder above or below the one that is nearest to a rate. */
function stepFrom(search: Extract<ArmSearch, { type: 'bracket' }>, rate: number, by: 1 | -1): number {
  const at = Math.round(Math.log(rate / search.start) / Math.log(search.factor));
  return ladder(search, at + by);
}

const lossOf = ({ score }: TriedRate): number =>
  score === null || !Number.isFinite(score) ? Number.POSITIVE_INFINITY : score;

/** The rates of the least loss, more than one where they tie; none where every run diverged. */
function bestOf(sorted: readonly TriedRate[]): TriedRate[] {
  const least = Math.min(...sorted.map(lossOf));
  return Number.isFinite(least) ? sorted.filter((one) => lossOf(one) === least) : [];
}

function conclude(sorted: readonly TriedRate[]): SearchState {
  const best = bestOf(sorted);
  const chosen = best[(best.length - 1) >> 1];
  const among = `${sorted.length} rate${sorted.length === 1 ? '' : 's'} from ${sorted[0]?.rate} to ${sorted.at(-1)?.rate}`;
  if (!chosen) return { is: 'lost', note: `every run diverged, at ${among}` };
  const at = sorted.indexOf(chosen);
  const [smaller, larger] = [sorted[at - 1], sorted[at + 1]];
  const isWorse = (beside: TriedRate | undefined): boolean => beside !== undefined && lossOf(beside) > lossOf(chosen);
  const isBracketed = isWorse(smaller) && isWorse(larger);
  return {
    is: 'found',
    rate: chosen.rate,
    isBracketed,
    note: noteOf(chosen.rate, among, smaller, larger, isBracketed),
  };
}

function noteOf(
  rate: number,
  among: string,
  smaller: TriedRate | undefined,
  larger: TriedRate | undefined,
  isBracketed: boolean,
): string {
  if (isBracketed) return `${rate} is the best of ${among}, with a worse neighbour on both sides`;
  if (smaller && larger) return `${rate} is the best of ${among}, but a neighbour is not worse`;
  const side = smaller ? 'larger' : larger ? 'smaller' : 'other';
  return `${rate} is the best of ${among}, at the edge: no ${side} one was tried`;
}
