import { setTimeout as sleep } from 'node:timers/promises';
import { type Inputs, submit } from './client.js';
import type { Fault, Random } from './faults/fault.js';
import { type Phase, untilPhase } from './phase.js';
import type { Part } from './process-part.js';
import type { ChaosStack } from './stack.js';
import { stalesAccepted } from './stale-writes.js';
import { type Tally, tallyOf } from './tally.js';
import { again, until } from './until.js';

export interface Result extends Tally {
  staleWrites: number;
  /** Whether an attempt was in the phase when the fault struck. */
  wasMet: boolean;
  /** From the end of the fault until each run that it met on a worker was further than it had been, or done. Seconds. */
  resumedS: number;
  statuses: string[];
}

export interface Trial {
  fault: Fault;
  phase: Phase;
  /** Part of the idempotency keys. */
  nth: string;
  random: Random;
}

/** As many as there are workers; one more comes during the fault. */
const RUNS = 2;
/** An upload takes a few milliseconds: a trial that met none queues others. */
const TRIES = 5;
const PHASE_MS = 60_000;
/** A run counts as lost when it is not done so long after the fault. */
const DONE_MS = 120_000;

interface Progress {
  id: string;
  status: string;
  attempt: number;
  step: number;
}

const isOver = ({ status }: Progress): boolean => status === 'succeeded' || status === 'failed';

/** Where runs are; nothing where Postgres does not say. */
async function progressOf(stack: ChaosStack, ids: readonly string[]): Promise<Progress[]> {
  const sql = 'SELECT t.id, t.status, t.attempt, r.step FROM tasks t JOIN runs r ON r.id = t.id WHERE t.id = ANY($1)';
  const { rows } = await stack.s.pg.query<Progress>(sql, [ids]).catch(() => ({ rows: [] }));
  return rows;
}

const areOver = async (stack: ChaosStack, ids: readonly string[]): Promise<boolean> => {
  const now = await progressOf(stack, ids);
  return now.length === ids.length && now.every(isOver);
};

/** Waits for runs to end. */
export const untilOver = (stack: ChaosStack, ids: readonly string[]): Promise<boolean> =>
  until(() => areOver(stack, ids), DONE_MS);

/** Where runs are, as soon as Postgres says it. */
const lastKnown = (stack: ChaosStack, ids: readonly string[]): Promise<Progress[]> =>
  again(async () => {
    const rows = await progressOf(stack, ids);
    if (rows.length === 0) throw new Error('Postgres does not say where the runs are');
    return rows;
  });

/** Queues runs until one of them is in the phase; returns all that were queued and the worker that is in it. */
async function meet(
  stack: ChaosStack,
  inputs: Inputs,
  { phase, nth }: Trial,
): Promise<{ ids: string[]; worker: Part | null }> {
  const ids: string[] = [];
  const atStep = phase === 'step' ? inputs.every / 2 : 0;
  for (let tries = 0; tries < TRIES; tries++) {
    const ofTry: string[] = [];
    for (let i = 0; i < RUNS; i++) ofTry.push(await submit(stack, inputs, `chaos-${nth}-${tries}-${i}`));
    ids.push(...ofTry);
    const about = { ids: ofTry, atStep, timeoutMs: PHASE_MS, areOver: () => areOver(stack, ofTry) };
    const worker = await untilPhase(stack, phase, about);
    if (worker) return { ids, worker };
  }
  return { ids, worker: null };
}

/** Queues runs, strikes when one of them is in the phase, queues one more meanwhile, and looks at what became of all. */
export async function strike(stack: ChaosStack, usual: Inputs, trial: Trial): Promise<Result> {
  const { fault, nth, random } = trial;
  const inputs = fault.isOutlasted ? { ...usual, steps: usual.outlastingSteps } : usual;
  const { ids, worker } = await meet(stack, inputs, trial);
  const during = sleep(random() * 500).then(() => submit(stack, inputs, `chaos-${nth}-during`));
  during.catch(() => undefined);
  await fault.strike(stack, worker ?? stack.workers[0], random);
  const endedAt = performance.now();
  const met = (await lastKnown(stack, ids)).filter((run) => run.attempt > 0 && !isOver(run));
  const areOn = (now: readonly Progress[]): boolean =>
    met.every(({ id, step }) => now.some((run) => run.id === id && (run.step > step || run.status === 'succeeded')));
  const haveResumed = await until(async () => areOn(await progressOf(stack, ids)), DONE_MS);
  const resumedS = haveResumed ? (performance.now() - endedAt) / 1_000 : DONE_MS / 1_000;
  ids.push(await during);
  await untilOver(stack, ids);
  const tally = await again(() => tallyOf(stack.s, ids, { harms: fault.harms, lossAt: inputs.lossAt }));
  return { ...tally, staleWrites: await stalesAccepted(stack, ids), wasMet: worker !== null, resumedS };
}
