import { type AttemptEvent, explain, type Phase, type StopReason } from '@moraine/contract';
import type { FromChild, ToChild } from './child-protocol.js';
import { createNarrator } from './narrate.js';

/**
 * The process that trains: one attempt, then the end. A specification comes in over the pipe, events go out, and when the pipe breaks
 * there is nobody left to train for. The runtime is loaded late, so that a machine without it can say so.
 */
let stopReason: StopReason | null = null;

/** Of the same phase, a sign of progress so often. */
const PROGRESS_MS = 1_000;

const send = (message: FromChild): Promise<void> =>
  new Promise((resolve) => {
    if (process.send && process.connected) process.send(message, () => resolve());
    else resolve();
  });

async function leave(last: FromChild, status: number): Promise<void> {
  await send(last);
  process.exit(status);
}

async function fail(error: unknown, step: number): Promise<void> {
  const recipes = await import('@moraine/recipes').catch(() => null);
  const failure = recipes?.failureOf(error) ?? {
    cause: 'internal',
    code: 'internal',
    message: explain(error),
    param: null,
  };
  await leave({ type: 'failed', at: Date.now(), step, ...failure }, 1);
}

async function train(message: Extract<ToChild, { type: 'start' }>): Promise<void> {
  let step = 0;
  let sent = Promise.resolve();
  const narrate = createNarrator('config' in message.spec ? message.spec.config.steps : 0);
  const emit = (event: AttemptEvent): void => {
    if (event.type === 'metrics') step = event.step;
    const line = narrate(event);
    // In pino's form: the supervisor captures it into the run's log.
    if (line !== null) process.stdout.write(`${JSON.stringify({ level: 30, time: Date.now(), msg: line })}\n`);
    sent = send(event);
  };
  const onCrash = (error: unknown): void => {
    process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
    fail(error, step).catch(() => process.exit(1));
  };
  process.on('uncaughtException', onCrash);
  process.on('unhandledRejection', onCrash);
  try {
    const { runJob } = await import('@moraine/recipes');
    await runJob(message.spec, emit, { stopRequested: () => stopReason, progress: createProgress() });
    await sent;
    process.exit(0);
  } catch (error) {
    onCrash(error);
  }
}

/** Passes progress on, not more often than anybody looks. */
function createProgress(): (phase: Phase) => void {
  let last: { phase: Phase; at: number } | null = null;
  return (phase) => {
    const at = performance.now();
    if (last?.phase === phase && at - last.at < PROGRESS_MS) return;
    last = { phase, at };
    send({ type: 'progress', phase }).catch(() => undefined);
  };
}

async function probe(): Promise<void> {
  try {
    const { device } = await import('@moraine/recipes');
    const { kind, name, tensorflow, bfloat16 } = device();
    await leave({ type: 'device', device: { kind, name, tensorflow, bfloat16 } }, 0);
  } catch (error) {
    const hint = error instanceof Error && 'hint' in error && typeof error.hint === 'string' ? ` ${error.hint}` : '';
    const message = error instanceof Error ? error.message : String(error);
    await leave({ type: 'no_runtime', message: `${message}${hint}` }, 1);
  }
}

process.on('disconnect', () => process.exit(1));
// Ctrl-C reaches the whole group; the supervisor decides what becomes of us.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);
process.on('message', (message: ToChild) => {
  if (message.type === 'stop') stopReason = message.reason;
  else if (message.type === 'start') train(message).catch(() => process.exit(1));
  else probe().catch(() => process.exit(1));
});
