import { createRandom } from '../random.js';
import { checkRates } from './check-rates.js';
import type { Search } from './spec.js';

/** A search by successive halving with the steps of its rungs, rising; the last one is the last step of a run. */
export type AshaSearch = Extract<Search, { type: 'asha' }> & { rungs: number[] };

/** The validation loss of a run at the step of a rung, in nats; null where it was no number. */
export interface RungScore {
  step: number;
  loss: number | null;
}

/** What came of a rate so far. */
export interface RungRun {
  rate: number;
  /**
   * `active` trains, `held` waits at the rung that it has come to, `stopped` was ended there, `ended` came to the last step; `diverged` and `failed` count as the worst of the
   * rung that they were on the way to.
   */
  state: 'active' | 'held' | 'stopped' | 'ended' | 'diverged' | 'failed';
  /** The step that it is on its way to, or has come to. */
  to: number;
  /** At the rungs that it has passed or come to. */
  scores: readonly RungScore[];
}

/** A held rate that goes on to the step of the next rung. */
export interface Promotion {
  rate: number;
  from: number;
  to: number;
}

/** Where a search by rungs stands. `stop`: held rates that are not to go on, once it is over. */
export type AshaState =
  | { is: 'open'; start: number[]; promote: Promotion[] }
  | { is: 'found'; rate: number; isBracketed: boolean; note: string; stop: number[] }
  | { is: 'lost'; note: string; stop: number[] };

/** The first rung's share of a run, where nothing else is said: two rungs before the last. */
const RUNGS_BELOW = 2;

/** Steps of the rungs: the last step of a run, and each time 1/eta of it, rounded, while that is at least `min_steps`. Rising; two or more, unless there is no room for them. */
export function rungsOf({ eta, min_steps }: { eta: number; min_steps?: number | undefined }, steps: number): number[] {
  const least = min_steps ?? Math.max(1, Math.round(steps / eta ** RUNGS_BELOW));
  const rungs = [steps];
  for (let step = Math.round(steps / eta); step >= least; step = Math.round(steps / eta ** rungs.length)) {
    if (step >= (rungs[0] ?? 0)) break;
    rungs.unshift(step);
  }
  return rungs;
}

/** The rates of a search in the order in which they start: evenly in the logarithm between the ends, each once. */
export function drawRates({
  min,
  max,
  runs,
  seed,
}: {
  min: number;
  max: number;
  runs: number;
  seed: number;
}): number[] {
  const random = createRandom(seed);
  const drawn = Array.from({ length: runs }, () => Number((min * (max / min) ** random.next()).toPrecision(4)));
  return [...new Set(drawn)];
}

/**
 * The held runs that go on now. Of the runs that have come to a rung, the best 1/eta (rounded down) go on to the next one, as soon as they are that: no rung waits for all of
 * its runs. Runs that failed, or whose loss is no number, are the worst of the rung and never go on; of equal losses the earlier one in `runs` is the better.
 * Li et al. 2018, arXiv:1810.05934, Algorithm 2 (get_job), over all rungs from the highest to the lowest; what is returned is every job that it would hand out.
 */
export function promotions({ eta, rungs }: Pick<AshaSearch, 'eta' | 'rungs'>, runs: readonly RungRun[]): Promotion[] {
  return rungs
    .slice(0, -1)
    .map((from, at) => ({ from, to: rungs[at + 1] ?? from }))
    .reverse()
    .flatMap(({ from, to }) => {
      const there = rankedAt(runs, from);
      return there
        .slice(0, Math.floor(there.length / eta))
        .filter(({ run, loss }) => isWaiting(run, from) && Number.isFinite(loss))
        .map(({ run }) => ({ rate: run.rate, from, to }));
    });
}

const isWaiting = (run: RungRun, step: number): boolean => run.state === 'held' && run.to === step;

/** The loss of a run at a rung, infinite where it is no number; null where it has not come there. */
function lossAt({ state, to, scores }: RungRun, step: number): number | null {
  if (to === step && (state === 'diverged' || state === 'failed')) return Number.POSITIVE_INFINITY;
  const score = scores.find((one) => one.step === step);
  if (score === undefined) return null;
  return score.loss !== null && Number.isFinite(score.loss) ? score.loss : Number.POSITIVE_INFINITY;
}

/** The runs that have come to a rung, or were lost on the way to it, the best first. */
function rankedAt(runs: readonly RungRun[], step: number): { run: RungRun; loss: number }[] {
  const there = runs.flatMap((run) => {
    const loss = lossAt(run, step);
    return loss === null ? [] : [{ run, loss }];
  });
  // Infinity − Infinity is no number, which a sort must not see.
  return there.toSorted((a, b) => (a.loss === b.loss ? 0 : a.loss - b.loss));
}

/**
 * The next step of a search by rungs, or what it found. Pure: rates follow from the seed, promotions from the scores so far. Where nothing goes on and no run has come to the last
 * step, the best that waits at the highest rung does. What it found is the least loss after the last step; scores of two rungs are never compared.
 */
export function ashaStep(search: AshaSearch, found: readonly RungRun[]): AshaState {
  const rates = drawRates(search);
  const runs = rates.flatMap((rate) => found.find((run) => run.rate === rate) ?? []);
  const start = rates.filter((rate) => !runs.some((run) => run.rate === rate));
  const promote = promotions(search, runs);
  if (start.length > 0 || promote.length > 0 || runs.some(({ state }) => state === 'active'))
    return { is: 'open', start, promote };
  const last = search.rungs.at(-1) ?? 0;
  const ended = rankedAt(runs, last).filter(({ run, loss }) => run.state === 'ended' && Number.isFinite(loss));
  if (ended.length > 0) return conclude(search, runs, ended);
  const next = bestWaiting(search, runs);
  return next === null
    ? { is: 'lost', note: `no run came to step ${last}, at ${amongOf(runs)}`, stop: waitingOf(runs) }
    : { is: 'open', start: [], promote: [next] };
}

const waitingOf = (runs: readonly RungRun[]): number[] =>
  runs.filter(({ state }) => state === 'held').map(({ rate }) => rate);

/** The best run of the highest rung where one waits whose loss is a number. */
function bestWaiting({ rungs }: AshaSearch, runs: readonly RungRun[]): Promotion | null {
  for (let at = rungs.length - 2; at >= 0; at -= 1) {
    const [from = 0, to = 0] = [rungs[at], rungs[at + 1]];
    const best = rankedAt(runs, from).find(({ run, loss }) => isWaiting(run, from) && Number.isFinite(loss));
    if (best) return { rate: best.run.rate, from, to };
  }
  return null;
}

function amongOf(runs: readonly RungRun[]): string {
  const rates = runs.map(({ rate }) => rate);
  return `${runs.length} rate${runs.length === 1 ? '' : 's'} from ${Math.min(...rates)} to ${Math.max(...rates)}`;
}

function conclude(
  search: AshaSearch,
  runs: readonly RungRun[],
  ended: readonly { run: RungRun; loss: number }[],
): AshaState {
  const best = ended.filter(({ loss }) => loss === ended[0]?.loss).toSorted((a, b) => a.run.rate - b.run.rate);
  const chosen = best[(best.length - 1) >> 1]?.run;
  if (!chosen) throw new Error('a search without a run that ended');
  // As the table says it; one that failed for a reason of its own says nothing.
  const tried = runs.filter(({ state }) => state !== 'failed').toSorted((a, b) => a.rate - b.rate);
  const arm = { name: '', learningRate: chosen.rate, runs: tried.map((run) => toRated(run, search)) };
  const isBracketed = checkRates(arm, true).length === 0;
  const counts = search.rungs.map(
    (step) => `${runs.filter((run) => lossAt(run, step) !== null).length} at step ${step}`,
  );
  const among = `${chosen.rate} is the best of those that came to step ${search.rungs.at(-1)}, of ${amongOf(runs)} (${counts.join(', ')})`;
  const at = tried.indexOf(chosen);
  const early = [tried[at - 1], tried[at + 1]].flatMap((run) =>
    run?.state === 'held' || run?.state === 'stopped' ? [`${run.rate} at step ${run.to}`] : [],
  );
  const rest = isBracketed
    ? `with a worse neighbour on both sides${early.length === 0 ? '' : `, as far as those were trained (${early.join(', ')})`}`
    : 'without a worse neighbour on both sides';
  return { is: 'found', rate: chosen.rate, isBracketed, note: `${among}, ${rest}`, stop: waitingOf(runs) };
}

/** A run as rates are compared. */
const toRated = ({ rate, state, to, scores }: RungRun, { rungs, seed }: AshaSearch) => ({
  seed,
  learningRate: rate,
  score: state === 'ended' ? (scores.find(({ step }) => step === rungs.at(-1))?.loss ?? null) : null,
  stoppedAt: state === 'held' || state === 'stopped' ? to : undefined,
  scores: scores.map(({ step, loss }) => ({ step, score: loss })),
});

/** How many runs come to a rung. */
export interface RungPlan {
  step: number;
  runs: { least: number; expected: number; most: number };
}

/** Orders that the expected numbers are a mean over. */
const ORDERS = 32;

/**
 * How many runs come to each rung, failures aside. Least: as many as halving promotes that waits for all of a rung. Most: every run is better than those before it, so all from
 * the eta-th on are promoted. Expected: the mean over seeded random orders of one worker that takes what is promoted before what has not begun.
 */
export function planRungs(search: AshaSearch): RungPlan[] {
  const { eta, rungs } = search;
  const count = drawRates(search).length;
  const expected = expectedCounts(search, count);
  let [least, most] = [count, count];
  return rungs.map((step, at) => {
    if (at > 0) [least, most] = [Math.max(1, Math.floor(least / eta)), Math.max(1, most - eta + 1)];
    return { step, runs: { least, expected: expected[at] ?? least, most } };
  });
}

function expectedCounts(search: AshaSearch, count: number): number[] {
  const random = createRandom(search.seed);
  const totals = search.rungs.map(() => 0);
  for (let order = 0; order < ORDERS; order += 1)
    for (const [at, come] of simulate(search, count, () => random.next()).entries())
      totals[at] = (totals[at] ?? 0) + come;
  return totals.map((total) => Math.round((10 * total) / ORDERS) / 10);
}

/**
 * Runs that come to each rung where every one has a loss of its own, the same at all rungs, and one worker takes promotions first: `promotions` and `bestWaiting` by sorted losses in
 * place of runs, because a dry run asks for thousands of steps of it.
 */
function simulate({ eta, rungs }: AshaSearch, count: number, nextLoss: () => number): number[] {
  const there = rungs.map(() => ({ losses: [] as number[], promoted: new Set<number>() }));
  const come = (at: number, loss: number): void => {
    const rung = there[at];
    if (rung === undefined) return;
    const { losses, promoted } = rung;
    const place = losses.findIndex((one) => one > loss);
    losses.splice(place < 0 ? losses.length : place, 0, loss);
    const next = losses.slice(0, Math.floor(losses.length / eta)).find((one) => !promoted.has(one));
    if (next !== undefined && at + 1 < there.length) promote(at, next);
  };
  const promote = (at: number, loss: number): void => {
    there[at]?.promoted.add(loss);
    come(at + 1, loss);
  };
  for (let run = 0; run < count; run += 1) come(0, nextLoss());
  while (there.at(-1)?.losses.length === 0) {
    const at = there.findLastIndex(({ losses, promoted }) => losses.length > promoted.size);
    const best = there[at]?.losses.find((one) => !there[at]?.promoted.has(one));
    if (best === undefined) break;
    promote(at, best);
  }
  return there.map(({ losses }) => losses.length);
}

/** What the runs of a search train, in runs of the full length. */
export function rungRuns(plan: readonly RungPlan[], end: keyof RungPlan['runs']): number {
  const last = plan.at(-1)?.step ?? 1;
  return plan.reduce((sum, { step, runs }, at) => sum + (runs[end] * (step - (plan[at - 1]?.step ?? 0))) / last, 0);
}
