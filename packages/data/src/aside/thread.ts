import { parentPort, workerData } from 'node:worker_threads';
import { AppError } from '@moraine/contract';
import { loadBaseTokenizer } from '../check-tokenizer.js';
import type { Answer, Task } from './protocol.js';

/** The program of a thread that does one task, sends what came of it, and ends. */
async function perform({ files, vocabSize }: Task): Promise<null> {
  await loadBaseTokenizer(async (name) => files[name] ?? null, vocabSize);
  return null;
}

async function answer(task: Task): Promise<Answer<unknown>> {
  try {
    return { result: await perform(task) };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const { code, message, param, hint } = error;
    return { refusal: { code, message, ...(param === null ? {} : { param }), ...(hint === null ? {} : { hint }) } };
  }
}

parentPort?.postMessage(await answer(workerData as Task));
