import { fork } from 'node:child_process';
import type { WorkerDevice } from '@moraine/services';
import type { FromChild, ToChild } from './child-protocol.js';
import { childEnv } from './env.js';

export type Probe = { device: WorkerDevice; problem: null } | { device: WorkerDevice; problem: string };

const NONE: WorkerDevice = { kind: 'none', name: 'none', tensorflow: null, bfloat16: null };
const DEADLINE_MS = 60_000;

/** Asks a fresh process of the training program what it can compute on: loading TensorFlow here would cost its memory for ever. */
export function probeRuntime(script: string, threads: number): Promise<Probe> {
  return new Promise((resolve) => {
    const child = fork(script, [], {
      env: childEnv(threads),
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      serialization: 'advanced',
    });
    let lastWords = '';
    let probe: Probe | null = null;
    const deadline = setTimeout(() => child.kill('SIGKILL'), DEADLINE_MS);
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      lastWords = (lastWords + text).slice(-500);
    });
    child.on('message', (message: FromChild) => {
      if (message.type === 'device') probe = { device: message.device, problem: null };
      if (message.type === 'no_runtime') probe = { device: NONE, problem: message.message };
    });
    child.once('error', (error) => {
      lastWords = error.message;
      if (child.pid === undefined)
        resolve({ device: NONE, problem: `The training program does not start: ${lastWords}` });
    });
    child.once('close', (code, signal) => {
      clearTimeout(deadline);
      const problem = `The training runtime does not load: the process ended with ${signal ?? `status ${code}`}. ${lastWords.trim()} Run npx moraine doctor on this machine.`;
      resolve(probe ?? { device: NONE, problem });
    });
    child.send({ type: 'probe' } satisfies ToChild, () => undefined);
  });
}
