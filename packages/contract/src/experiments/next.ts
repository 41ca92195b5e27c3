import { type AshaSearch, ashaStep, type Promotion, type RungRun, type RungScore } from './asha.js';
import { type ArmSearch, searchStep, type TriedRate } from './search.js';

/** One run of an experiment: which arm, what for, at which rate and seed. */
export interface Cell {
  arm: string;
  phase: 'search' | 'final';
  learning_rate: number;
  seed: number;
}

/** A cell that has a run, and what that did. */
export interface CellOutcome extends Cell {
  /**
   * `diverged` ended by a loss that is no number; `failed` ended by anything else that says nothing about its rate. `held` waits at the step of a rung, `stopped` was ended
   * there as one of the worse.
   */
  state: 'active' | 'held' | 'stopped' | 'ended' | 'diverged' | 'failed';
  /** Validation loss that the rate is chosen by; null before the end, and where it diverged. */
  score: number | null;
  /** The step that it is on its way to, or is held or was stopped at; absent: its last. */
  to?: number | undefined;
  /** Its validation losses at the steps of rungs; none where there are no rungs. */
  rungs?: readonly RungScore[];
  /** Of a failed one: which run, and why. */
  reason?: string;
}

export interface ArmState {
  name: string;
  phase: 'search' | 'final' | 'done' | 'failed';
  /** The rate that was chosen; null before. */
  learning_rate: number | null;
  /** Whether it has a worse neighbour on both sides; null before it is chosen. */
  is_bracketed: boolean | null;
  note: string;
}

/** What an experiment does next. `succeeded` and `failed` are said when nothing runs any more. */
export interface NextStep {
  start: Cell[];
  /** Held cells that go on, and those that are not to; steps of rungs. */
  promote: { cell: Cell; from: number; to: number }[];
  stop: { cell: Cell; at: number }[];
  status: 'running' | 'succeeded' | 'failed';
  /** Why it failed; null otherwise. */
  reason: string | null;
  arms: ArmState[];
}

export interface ArmPlan {
  name: string;
  search: ArmSearch;
}

export interface SeedPlan {
  search: number;
  final: readonly number[];
}

/** The name of a cell inside its experiment: the same cell has the same one whenever it is planned. */
export const cellKey = ({ arm, phase, learning_rate, seed }: Cell): string =>
  `${arm}/${phase}/${learning_rate}/${seed}`;

/**
 * Which cells to start now, given what those so far did. Pure: called again with the same outcomes it says the same, so a planner that was
 * killed at any moment goes on. Every arm searches its rate with the search seed, then is repeated with each final seed at the rate that was
 * chosen; arms do not wait for each other. A rate that stands alone is taken without a search.
 */
export function nextStep(arms: readonly ArmPlan[], seeds: SeedPlan, outcomes: readonly CellOutcome[]): NextStep {
  const steps = arms.map((arm) =>
    armStep(
      arm,
      seeds,
      outcomes.filter((one) => one.arm === arm.name),
    ),
  );
  const [start, promote, stop] = [
    steps.flatMap((step) => step.start),
    steps.flatMap((step) => step.promote),
    steps.flatMap((step) => step.stop),
  ];
  const due = { start, promote, stop };
  const states = steps.map(({ state }) => state);
  const isBusy = start.length + promote.length + stop.length > 0 || outcomes.some(({ state }) => state === 'active');
  const failed = states.filter(({ phase }) => phase === 'failed');
  const reason = failed.map(({ name, note }) => `${name}: ${note}`).join('; ');
  if (isBusy) return { ...due, status: 'running', reason: null, arms: states };
  return failed.length > 0
    ? { ...due, status: 'failed', reason, arms: states }
    : { ...due, status: 'succeeded', reason: null, arms: states };
}

interface ArmStep extends Pick<NextStep, 'start' | 'promote' | 'stop'> {
  state: ArmState;
}

function armStep({ name, search }: ArmPlan, seeds: SeedPlan, outcomes: readonly CellOutcome[]): ArmStep {
  const state = (phase: ArmState['phase'], note: string): ArmState => {
    return { name, phase, learning_rate: null, is_bracketed: null, note };
  };
  // Where rungs stop the worse runs anyhow, a run of the search that failed is the worst of its rung and stops nothing else.
  const failed = outcomes.find((one) => one.state === 'failed' && (search.type !== 'asha' || one.phase === 'final'));
  const none = { start: [], promote: [], stop: [] };
  if (failed) return { ...none, state: state('failed', failed.reason ?? 'a run failed') };
  const found = findRate(search, outcomes, seeds.search);
  const cellOf = (rate: number): Cell => cell(name, 'search', rate, seeds.search);
  const stop = found.stop.flatMap((rate) => {
    const held = outcomes.find((one) => one.phase === 'search' && one.learning_rate === rate && one.state === 'held');
    return held?.to === undefined ? [] : [{ cell: cellOf(rate), at: held.to }];
  });
  switch (found.is) {
    case 'open': {
      const promote = found.promote.map(({ rate, from, to }) => ({ cell: cellOf(rate), from, to }));
      return { start: found.start.map(cellOf), promote, stop, state: state('search', found.note) };
    }
    case 'lost': {
      const { reason } = outcomes.find((one) => one.state === 'failed') ?? {};
      return { ...none, stop, state: state('failed', reason === undefined ? found.note : `${found.note}; ${reason}`) };
    }
    case 'found': {
      const { rate, isBracketed, note } = found;
      const { start, isDone } = finalCells(name, rate, seeds.final, outcomes);
      const chosen = { ...state(isDone ? 'done' : 'final', note), learning_rate: rate, is_bracketed: isBracketed };
      return { ...none, start, stop, state: chosen };
    }
  }
}

const cell = (arm: string, phase: Cell['phase'], learning_rate: number, seed: number): Cell => {
  return { arm, phase, learning_rate, seed };
};

type Found =
  | { is: 'open'; start: number[]; promote: Promotion[]; stop: number[]; note: string }
  | { is: 'found'; rate: number; isBracketed: boolean; stop: number[]; note: string }
  | { is: 'lost'; stop: number[]; note: string };

function findRate(search: ArmSearch, outcomes: readonly CellOutcome[], seed: number): Found {
  const searched = outcomes.filter((one) => one.phase === 'search' && one.seed === seed);
  if (search.type === 'asha') return climb(search, searched);
  const whole = { promote: [], stop: [], note: 'the rate is being searched' };
  if (search.type === 'grid' && new Set(search.learning_rates).size === 1) {
    const [rate = Number.NaN] = search.learning_rates;
    return { ...whole, is: 'found', rate, isBracketed: false, note: `${rate} was given, and no other one tried` };
  }
  const tried = searched.map(({ learning_rate: rate, state, score }): TriedRate => {
    return { rate, isActive: state === 'active', score };
  });
  return { ...whole, ...searchStep(search, tried) };
}

/** A search by rungs, by what its runs did. */
function climb(search: AshaSearch, searched: readonly CellOutcome[]): Found {
  const last = search.rungs.at(-1) ?? 0;
  const runs = searched.map(({ learning_rate: rate, state, to = last, score, rungs = [] }): RungRun => {
    const scores =
      state === 'ended' ? [...rungs.filter(({ step }) => step < last), { step: last, loss: score }] : rungs;
    return { rate, state, to, scores };
  });
  const found = ashaStep(search, runs);
  if (found.is !== 'open') return found;
  const counts = search.rungs.map(
    (step) => `${runs.filter(({ scores }) => scores.some((one) => one.step === step)).length} at step ${step}`,
  );
  return { ...found, stop: [], note: `runs that have come to a rung: ${counts.join(', ')}` };
}

/** Those of the final seeds that have no run yet, and whether all have ended. */
function finalCells(arm: string, rate: number, seeds: readonly number[], outcomes: readonly CellOutcome[]) {
  const runs = outcomes.filter((one) => one.phase === 'final' && one.learning_rate === rate);
  const start = seeds
    .filter((seed) => !runs.some((run) => run.seed === seed))
    .map((seed) => cell(arm, 'final', rate, seed));
  const isDone = start.length === 0 && runs.every(({ state }) => state !== 'active');
  return { start, isDone };
}
