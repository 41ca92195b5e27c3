import { setTimeout as sleep } from 'node:timers/promises';
import { isTerminal, type RunStatus, type StateReason } from '@moraine/contract';
import type { Client } from '@moraine/contract/client';
import type { Arguments } from './args.js';
import { connect } from './connect.js';
import { progressLine } from './progress-line.js';
import { untilSignal } from './signals.js';
import { print, printError } from './terminal.js';

interface Task {
  status: RunStatus;
  state_reason: StateReason | null;
}

/** What is particular to a kind of task. */
export interface Watched<T extends Task> {
  noun: string;
  /** The command that has `watch`. */
  command: string;
  /** The task as it is, and again whenever it may have changed, until `signal` ends it. */
  updates(client: Client, signal: AbortSignal): AsyncIterable<T>;
  progressOf(task: T): { done: number; total: number | null; noun: string };
  /** The lines that say what came of it. */
  endOf(task: T): string[];
}

const LOOK_EVERY_MS = 500;

/** Shows how far a task is until it has ended, then what came of it; as JSON only the task as it ended. Ctrl-C ends the watching alone. */
export function watchTask<T extends Task>(args: Arguments, id: string, watched: Watched<T>): Promise<number> {
  const client = connect(args);
  const line = progressLine();
  return untilSignal(async (signal) => {
    let task: T | null = null;
    for await (task of watched.updates(client, signal)) {
      if (isTerminal(task.status)) break;
      if (!args.options.json) line.show(...progressOf(task, watched));
    }
    line.clear();
    if (task === null || !isTerminal(task.status)) {
      printError(`The ${watched.noun} goes on. \`npx moraine ${watched.command} watch ${id}\` shows it again.`);
      return 130;
    }
    if (args.options.json) print(JSON.stringify(task));
    else for (const row of watched.endOf(task)) print(row);
    return task.status === 'succeeded' ? 0 : 1;
  });
}

/** A task that is read again and again. */
export async function* polled<T extends Task>(read: () => Promise<T>, signal: AbortSignal): AsyncGenerator<T> {
  while (!signal.aborted) {
    yield await read();
    await sleep(LOOK_EVERY_MS, undefined, { signal }).catch(() => undefined);
  }
}

function progressOf<T extends Task>(task: T, watched: Watched<T>): [line: string, step: string] {
  const { status, state_reason: why } = task;
  const { done, total, noun } = watched.progressOf(task);
  if (status !== 'running' || total === null) {
    const words = `${status}${why ? `: ${why.message}` : ''}`;
    return [words, words];
  }
  return [`${done} of ${total} ${noun}`, String(Math.floor((10 * done) / total))];
}
