import { parentPort, workerData } from 'node:worker_threads';
import { AppError } from '@moraine/contract';
import { loadBaseTokenizer } from '../check-tokenizer.js';
import { type EncodedFile, encodeNamed } from '../encode-named.js';
import type { Answer, EncodeTask, Task } from './protocol.js';

// The program of a thread that does one task, sends what came of it, and ends.

async function perform(task: Task): Promise<unknown> {
  const { files, vocabSize } = task;
  const day = task.kind === 'encode' && task.day !== undefined ? new Date(task.day) : undefined;
  const tokenizer = await loadBaseTokenizer(async (name) => files[name] ?? null, vocabSize, day);
  return task.kind === 'encode' ? encodeAll(task, tokenizer) : null;
}

/** Each file gets an equal part of the time that is left. */
async function encodeAll(
  { rows: asked, maxSeqLen, overLength, msMax }: EncodeTask,
  tokenizer: Awaited<ReturnType<typeof loadBaseTokenizer>>,
): Promise<Omit<EncodedFile, 'rows'>[]> {
  const until = performance.now() + msMax;
  const results: Omit<EncodedFile, 'rows'>[] = [];
  for (const [i, { label, path }] of asked.entries()) {
    const options = {
      maxSeqLen,
      ...(overLength && { overLength }),
      msMax: (until - performance.now()) / (asked.length - i),
    };
    const { report, warnings } = await encodeNamed(label, path, tokenizer, options);
    results.push({ report, warnings });
  }
  return results;
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
