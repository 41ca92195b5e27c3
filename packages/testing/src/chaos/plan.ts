import type { Inputs } from './client.js';
import type { Fault, Random } from './faults/fault.js';
import { FAULTS } from './faults/index.js';
import { PHASES, type Phase } from './phase.js';

/** Which faults strike in which phases. */
export interface Plan {
  fault: Fault;
  phase: Phase;
}

/** What the stand-in trains. */
export const SHORT_RUN = {
  steps: 80,
  outlastingSteps: 240,
  every: 16,
  // As the program of the stand-in has it.
  lossAt: (step: number): number => 4 / (1 + step / 10),
} satisfies Partial<Inputs>;

/** What is really trained: steps take a few milliseconds. */
export const REAL_RUN = { steps: 400, outlastingSteps: 400, every: 80 } satisfies Partial<Inputs>;

/** Struck while the program that trains is the product's, with leases of production. */
export const WITH_REAL: readonly [name: string, phase: Phase][] = [
  ['kill -9 of a training child', 'checkpoint'],
  ['kill -9 of a worker', 'step'],
  ['kill -9 of everything', 'upload'],
  ['a worker and its training child stopped past their lease', 'step'],
  ['clocks of all put on 300 s and back', 'step'],
];

const PREFIX = 'real training: ';

/** What is asked for: by parts of names, and in one phase alone. */
export interface Asked {
  isShort: boolean;
  only: string | undefined;
  phase: string | undefined;
}

const isAsked =
  ({ only, phase }: Asked) =>
  (plan: Plan): boolean =>
    (!only || plan.fault.name.includes(only)) && (!phase || plan.phase === phase);

/** The short form strikes each fault that is not slow in one phase, which the seed chooses; the long form all in all. */
export function planOf(asked: Asked, random: Random): Plan[] {
  const all = FAULTS.flatMap((fault) => {
    const drawn = Math.floor(random() * PHASES.length);
    return PHASES.filter((_, i) => !asked.isShort || i === drawn).map((phase) => ({ fault, phase }));
  });
  return all.filter(isAsked(asked)).filter(({ fault }) => asked.only || !(asked.isShort && fault.isLong));
}

export function realPlanOf(asked: Asked): Plan[] {
  if (asked.isShort) return [];
  const all = WITH_REAL.flatMap(([name, phase]) => {
    const fault = FAULTS.find((one) => one.name === name);
    return fault ? [{ fault: { ...fault, name: PREFIX + name }, phase }] : [];
  });
  return all.filter(isAsked(asked));
}
