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
  /** `diverged` ended by a loss that is no number; `failed` ended by anything else that says nothing about its rate. */
  state: 'active' | 'ended' | 'diverged' | 'failed';
  /** Validation loss that the rate is chosen by; null before the end, and where it diverged. */
  score: number | null;
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
  const start = steps.flatMap((step) => step.start);
  const states = steps.map(({ state }) => state);
  const isBusy = start.length > 0 || outcomes.some(({ state }) => state === 'active');
  const failed = states.filter(({ phase }) => phase === 'failed');
  const reason = failed.map(({ name, note }) => `${name}: ${note}`).join('; ');
  if (isBusy) return { start, status: 'running', reason: null, arms: states };
  return failed.length > 0
    ? { start, status: 'failed', reason, arms: states }
    : { start, status: 'succeeded', reason: null, arms: states };
}

interface ArmStep {
  start: Cell[];
  state: ArmState;
}

function armStep({ name, search }: ArmPlan, seeds: SeedPlan, outcomes: readonly CellOutcome[]): ArmStep {
  const state = (phase: ArmState['phase'], note: string): ArmState => {
    return { name, phase, learning_rate: null, is_bracketed: null, note };
  };
  const failed = outcomes.find((one) => one.state === 'failed');
  if (failed) return { start: [], state: state('failed', failed.reason ?? 'a run failed') };
  const found = findRate(search, outcomes, seeds.search);
  switch (found.is) {
    case 'open': {
      const start = found.start.map((learning_rate) => cell(name, 'search', learning_rate, seeds.search));
      return { start, state: state('search', 'the rate is being searched') };
    }
    case 'lost':
      return { start: [], state: state('failed', found.note) };
    case 'found': {
      const { rate, isBracketed, note } = found;
      const { start, isDone } = finalCells(name, rate, seeds.final, outcomes);
      const chosen = { ...state(isDone ? 'done' : 'final', note), learning_rate: rate, is_bracketed: isBracketed };
      return { start, state: chosen };
    }
  }
}

const cell = (arm: string, phase: Cell['phase'], learning_rate: number, seed: number): Cell => {
  return { arm, phase, learning_rate, seed };
};

function findRate(search: ArmSearch, outcomes: readonly CellOutcome[], seed: number) {
  if (search.type === 'grid' && new Set(search.learning_rates).size === 1) {
    const [rate = Number.NaN] = search.learning_rates;
    return { is: 'found' as const, rate, isBracketed: false, note: `${rate} was given, and no other one tried` };
  }
  const tried = outcomes
    .filter((one) => one.phase === 'search' && one.seed === seed)
    .map(({ learning_rate: rate, state, score }): TriedRate => ({ rate, isActive: state === 'active', score }));
  return searchStep(search, tried);
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
