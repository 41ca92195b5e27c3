import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { PassThrough, type Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { AppError } from '@moraine/contract';
import type { MakeExport } from '@moraine/services';
import { exportEnv } from '../env.js';
import type { Answer } from './protocol.js';

/** The built one, also where this file runs from its source. */
const PROGRAM = fileURLToPath(new URL('../../dist/export/program.js', import.meta.url));

/** Processes at a time; each holds some of the largest weights of its base. */
const PROCESSES_MAX = 2;
/** Whoever comes later waits so long for one of them to end. */
const WAIT_MS = 60_000;

/**
 * Makes exports in processes of their own and hands out what they write. A reader that goes away ends its process; nothing is on disk.
 * @throws AppError as the export does; `unavailable` where others take too long, or the process ends without a word.
 */
export function createExporter(program = PROGRAM, waitMs = WAIT_MS): MakeExport {
  const places = createPlaces(PROCESSES_MAX);
  return async (order) => {
    await places.take(waitMs);
    const child = fork(program, [], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'], env: exportEnv() });
    child.once('close', places.giveBack);
    try {
      child.send(order);
      await answerOf(child);
      return outputOf(child);
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    }
  };
}

async function answerOf(child: ChildProcess): Promise<void> {
  const [answer] = (await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(([code, signal]) => {
      throw new AppError('unavailable', `The process that makes the export ended early (${String(signal ?? code)}).`, {
        hint: 'Try again; if it happens again the machine of the API lacks memory for this base: `moraine local export` makes it elsewhere.',
      });
    }),
  ])) as [Answer];
  if (answer.type === 'ready') return;
  const { code, message, param, hint } = answer;
  throw new AppError(code, message, { ...(param === null ? {} : { param }), ...(hint === null ? {} : { hint }) });
}

/** What the process writes. Its end is the end of a whole export only if the status says so: else the reader gets an error. */
function outputOf(child: ChildProcess): Readable {
  const { stdout } = child;
  if (stdout === null) throw new AppError('internal', 'The process that makes the export has no output.');
  const output = new PassThrough();
  stdout.pipe(output, { end: false });
  child.once('close', (code, signal) => {
    if (code === 0) output.end();
    else output.destroy(new Error(`the process that makes an export ended with status ${String(signal ?? code)}`));
  });
  // A reader that goes away leaves nothing to do.
  output.once('close', () => child.kill('SIGKILL'));
  return output;
}

/** A number of places; who finds none waits for one, first come first served. */
function createPlaces(count: number) {
  let free = count;
  const waiting = new Set<() => void>();
  const wait = (waitMs: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        waiting.delete(enter);
        reject(tooMany(count, waitMs));
      }, waitMs);
      const enter = (): void => {
        clearTimeout(timer);
        resolve();
      };
      waiting.add(enter);
    });
  return {
    async take(waitMs: number): Promise<void> {
      if (free === 0) return wait(waitMs);
      free -= 1;
    },
    giveBack(): void {
      const [next] = waiting;
      if (next === undefined) {
        free += 1;
        return;
      }
      waiting.delete(next);
      next();
    },
  };
}

const tooMany = (count: number, waitMs: number): AppError =>
  new AppError('unavailable', `${count} exports are being made, and none ended within ${waitMs / 1000} s.`, {
    hint: 'Try again in a minute.',
  });
