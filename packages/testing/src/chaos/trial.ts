import { setTimeout as sleep } from 'node:timers/promises';
import { ingestMetrics, recordEvent, renewLease } from '@moraine/services';
import { submit } from './client.js';
import type { Fault, Random } from './faults.js';
import { type ChaosStack, LEASE_MS } from './stack.js';
import { type Tally, tallyOf } from './tally.js';

/** What an attempt does when the fault strikes. */
export const PHASES = ['claim', 'step', 'checkpoint', 'upload'] as const;
export type Phase = (typeof PHASES)[number];

export interface Result extends Tally {
  fault: string;
  phase: Phase;
  /** From the end of the fault until each run that it met on a worker was further than it had been, or done. Seconds. */
  resumedS: number;
  /** Why it was not done; null where it was. */
  skipped: string | null;
  statuses: string[];
}

/** As many as there are workers; one more comes during the fault. */
const RUNS = 2;
const STEPS = 80;
const EVERY = 16;
/** A run counts as lost when it is not done so long after the fault. */
const DONE_MS = 120_000;
const LOOK_MS = 50;

interface Progress {
  id: string;
  status: string;
  step: number;
}

/** Where runs are; the last known where Postgres does not say. */
async function progressOf(stack: ChaosStack, ids: readonly string[]): Promise<Progress[]> {
  const { rows } = await stack.s.pg
    .query<Progress>('SELECT t.id, t.status, r.step FROM tasks t JOIN runs r ON r.id = t.id WHERE t.id = ANY($1)', [
      ids,
    ])
    .catch(() => ({ rows: [] }));
  return rows;
}

async function until(isSo: () => Promise<boolean>, timeoutMs: number): Promise<boolean> {
  const end = performance.now() + timeoutMs;
  while (performance.now() < end) {
    if (await isSo()) return true;
    await sleep(LOOK_MS);
  }
  return false;
}

const hasReached = (phase: Phase, { status, step }: Progress): boolean =>
  phase === 'claim' ? status === 'running' : step >= (phase === 'step' ? EVERY / 2 : EVERY);

/** Queues runs, strikes when one of them is in the phase, queues one more meanwhile, and looks at what became of all. */
export async function strike(
  stack: ChaosStack,
  inputs: { model: string; file: string },
  { fault, phase, nth, random }: { fault: Fault; phase: Phase; nth: string; random: Random },
): Promise<Result> {
  const named = { fault: fault.name, phase };
  const skipped = fault.impossible?.(stack) ?? null;
  const nothing = { lost: 0, staleWrites: 0, metricsLost: 0, metricsDoubled: 0, healthyTaken: 0, statuses: [] };
  if (skipped) return { ...named, ...nothing, resumedS: 0, skipped };
  const queue = (i: number) => submit(stack, inputs, { once: `chaos-${nth}-${i}`, steps: STEPS, every: EVERY });
  const ids: string[] = [];
  for (let i = 0; i < RUNS; i++) ids.push(await queue(i));
  await until(async () => (await progressOf(stack, ids)).some((run) => hasReached(phase, run)), 30_000);
  // An upload takes a few milliseconds: some strikes meet one.
  if (phase === 'upload') await sleep(random() * 60);

  const struck = (await progressOf(stack, ids)).filter(({ status }) => status === 'running');
  const during = sleep(random() * 500).then(() => queue(RUNS));
  await fault.strike(stack, random);
  const endedAt = performance.now();
  const met = (await lastKnown(stack, ids)).filter(({ id }) => struck.some((run) => run.id === id));
  const isOn = (now: Progress[]) =>
    met.every(
      ({ id, step, status }) =>
        status === 'succeeded' || now.some((run) => run.id === id && (run.step > step || run.status === 'succeeded')),
    );
  const hasResumed = await until(async () => isOn(await progressOf(stack, ids)), DONE_MS);
  const resumedS = hasResumed ? (performance.now() - endedAt) / 1_000 : DONE_MS / 1_000;
  ids.push(await during);
  await until(async () => {
    const now = await progressOf(stack, ids);
    return now.length === ids.length && now.every(({ status }) => status === 'succeeded' || status === 'failed');
  }, DONE_MS);
  const tally = await again(() => tallyOf(stack.s, ids, fault));
  return { ...named, ...tally, staleWrites: await stalesAccepted(stack, ids), resumedS, skipped };
}

const lastKnown = async (stack: ChaosStack, ids: readonly string[]): Promise<Progress[]> =>
  again(async () => {
    const rows = await progressOf(stack, ids);
    if (rows.length === 0) throw new Error('Postgres does not say where the runs are');
    return rows;
  });

/** A server that was just started may refuse once more. */
async function again<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await work();
    } catch (error) {
      if (tries >= 100) throw error;
      await sleep(200);
    }
  }
}

/** Writes in the name of every attempt that is over; returns how many were accepted. */
async function stalesAccepted(stack: ChaosStack, ids: readonly string[], each = 5): Promise<number> {
  const { rows } = await stack.s.pg.query<{ taskId: string; attempt: number; workerId: string }>(
    `SELECT task_id AS "taskId", attempt, worker_id AS "workerId" FROM attempts WHERE task_id = ANY($1) AND status <> 'running'`,
    [ids],
  );
  let accepted = 0;
  for (const token of rows) accepted += await forceStale(stack, token, each);
  return accepted;
}

type Token = { taskId: string; attempt: number; workerId: string };

async function forceStale(stack: ChaosStack, token: Token, times: number): Promise<number> {
  const writes = [
    () => renewLease(stack.s, token, { leaseMs: LEASE_MS }),
    () => ingestMetrics(stack.s, token, [{ step: STEPS + 1, at: Date.now(), values: { train_loss: 1 } }]),
    () => recordEvent(stack.s, token, { level: 'info', message: 'written by an attempt that is over' }),
  ];
  let accepted = 0;
  for (let i = 0; i < times; i++) {
    accepted += await Promise.resolve(writes[i % writes.length]?.()).then(
      () => 1,
      () => 0,
    );
  }
  return accepted;
}

/** A task is taken over by another attempt while the first one lives, and the first one goes on writing: so many times. */
export async function forceDoubleClaims(
  stack: ChaosStack,
  times: number,
): Promise<{ tried: number; accepted: number }> {
  const { rows } = await stack.s.pg.query<Token>(
    `SELECT task_id AS "taskId", attempt, worker_id AS "workerId" FROM attempts WHERE status <> 'running' ORDER BY task_id, attempt`,
  );
  const each = Math.ceil(times / Math.max(1, rows.length));
  let [tried, accepted] = [0, 0];
  for (const token of rows) {
    if (tried >= times) break;
    accepted += await forceStale(stack, token, each);
    tried += each;
  }
  return { tried, accepted };
}
