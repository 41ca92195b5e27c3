import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { AppError } from '@moraine/contract';
import {
  type AttemptToken,
  failAttempt,
  finishAttempt,
  ingestMetrics,
  recordCheckpoint,
  recordEvent,
  recordLogs,
  releaseAttempt,
  renewLease,
  type Services,
} from '@moraine/services';
import { cancel, type Inputs, submit } from './client.js';
import { processesOf } from './faults/fault.js';
import { untilPhase } from './phase.js';
import { signalAll } from './process-part.js';
import type { ChaosStack } from './stack.js';
import { again, until } from './until.js';

/** What was tried in the name of attempts that may not write, and what of it was accepted. */
export interface Forced {
  tried: number;
  accepted: number;
}

type Write = (s: Services, token: AttemptToken, dir: string) => Promise<unknown>;

const MARK = 'written by an attempt that is over';
/** No run has so many. */
const STEP = 1_000_000;
const TAKEN_MS = 90_000;
const LONG_RUN_STEPS = 20_000;

export const WRITES: readonly Write[] = [
  (s, token) => renewLease(s, token),
  (s, token) => ingestMetrics(s, token, [{ step: STEP, at: Date.now(), values: { train_loss: 1 } }]),
  (s, token) => recordEvent(s, token, { level: 'info', message: MARK }),
  (s, token) => recordLogs(s, token, [{ line: STEP, at: Date.now(), level: 'info', message: MARK }]),
  (s, token, dir) => recordCheckpoint(s, token, { step: STEP, dir, metrics: { train_loss: 1 } }),
];

/** Each may be sent twice by an attempt that ended so; one that was lost has not. */
const ENDS: readonly Write[] = [
  (s, token) => finishAttempt(s, token, { step: STEP, trainedTokens: STEP }),
  (s, token) => failAttempt(s, token, { cause: 'internal', code: 'internal', message: MARK }),
  (s, token) => releaseAttempt(s, token, MARK),
];

const isStale = (error: unknown): boolean => error instanceof AppError && error.code === 'stale_attempt';

/** Writes so often, one kind after another; returns how many writes were accepted. Servers that are away are waited for: they refuse everybody. */
export async function force(
  { s }: Pick<ChaosStack, 's'>,
  token: AttemptToken,
  writes: readonly Write[],
  times: number,
): Promise<number> {
  const dir = mkdtempSync(path.join(tmpdir(), 'moraine-stale-'));
  writeFileSync(path.join(dir, 'state.json'), '{}');
  let accepted = 0;
  try {
    for (let i = 0; i < times; i++) {
      const write = async () => writes[i % writes.length]?.(s, token, dir);
      const isTaken = again(write, (error) => !isStale(error)).then(
        () => true,
        (error: unknown) => {
          if (isStale(error)) return false;
          throw error;
        },
      );
      if (await isTaken) accepted++;
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  return accepted;
}

/** Rows that a write of ours left, whatever was said about it. */
export async function countLanded({ s }: Pick<ChaosStack, 's'>): Promise<number> {
  const { rows } = await s.pg.query<{ n: number }>(
    `SELECT (SELECT count(*) FROM metric_points WHERE step = $1)::int + (SELECT count(*) FROM checkpoints WHERE step = $1)::int
       + (SELECT count(*) FROM events WHERE message = $2)::int + (SELECT count(*) FROM log_lines WHERE message = $2)::int AS n`,
    [STEP, MARK],
  );
  return rows[0]?.n ?? 0;
}

const OVER = `SELECT task_id AS "taskId", attempt, worker_id AS "workerId" FROM attempts
  WHERE status NOT IN ('claimed', 'provisioning', 'running')`;

/** Writes in the name of every attempt of these runs that is over; returns how many writes were accepted. */
export async function stalesAccepted(stack: ChaosStack, ids: readonly string[]): Promise<number> {
  const { rows } = await again(() => stack.s.pg.query<AttemptToken>(`${OVER} AND task_id = ANY($1)`, [ids]));
  let accepted = 0;
  for (const token of rows) accepted += await force(stack, token, WRITES, WRITES.length);
  return accepted;
}

/** So many writes in the name of all attempts that are over, one after another. */
export async function forceAsEnded(stack: ChaosStack, times: number): Promise<Forced> {
  const { rows } = await stack.s.pg.query<AttemptToken>(`${OVER} ORDER BY task_id, attempt`);
  const each = Math.ceil(times / Math.max(1, rows.length));
  let [tried, accepted] = [0, 0];
  for (const token of rows) {
    const now = Math.min(each, times - tried);
    accepted += await force(stack, token, WRITES, now);
    tried += now;
  }
  return { tried, accepted: accepted + (await countLanded(stack)) };
}

/** So many writes in the name of an attempt that lives and whose run another worker has taken over meanwhile and trains. */
export async function forceAsTaken(stack: ChaosStack, inputs: Inputs, times: number): Promise<Forced> {
  const id = await submit(stack, { ...inputs, steps: LONG_RUN_STEPS }, 'chaos-taken');
  const about = { ids: [id], atStep: 1, timeoutMs: TAKEN_MS, areOver: async () => false };
  const worker = await untilPhase(stack, 'step', about);
  if (!worker) throw new Error('the run that is to be taken over did not begin');
  const held = async (attempt: number): Promise<AttemptToken | undefined> => {
    const { rows } = await stack.s.pg.query<AttemptToken>(
      `SELECT task_id AS "taskId", attempt, worker_id AS "workerId" FROM attempts WHERE task_id = $1 AND attempt = $2 AND status = 'running'`,
      [id, attempt],
    );
    return rows[0];
  };
  const token = await held(1);
  if (!token) throw new Error('the run that is to be taken over is not on its first attempt');
  const pids = processesOf(worker);
  signalAll(pids, 'SIGSTOP');
  try {
    const isTaken = await until(async () => (await held(2)) !== undefined, TAKEN_MS);
    if (!isTaken) throw new Error('no other worker took the run over');
    const accepted = await force(stack, token, [...WRITES, ...ENDS], times);
    const isHeld = (await held(2)) !== undefined;
    return { tried: times, accepted: accepted + (await countLanded(stack)) + (isHeld ? 0 : 1) };
  } finally {
    signalAll(pids, 'SIGCONT');
    // Refused where an accepted write has ended the run, which is counted above.
    await cancel(stack, id).catch(() => undefined);
  }
}
