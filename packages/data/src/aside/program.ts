import { AppError } from '@moraine/contract';
import { checkAdapter } from '../check-adapter.js';
import { checkBase } from '../check-base.js';
import { loadBaseTokenizer } from '../check-tokenizer.js';
import type { DuplicateFinder } from '../duplicates.js';
import { encodeNamed } from '../encode-named.js';
import { estimateRun } from '../estimate-run.js';
import { previewFile } from '../preview-file.js';
import { splitFile } from '../split-file.js';
import type { TextTokenizer } from '../tokenizer.js';
import { validateEvals } from '../validate-evals.js';
import { validateFile } from '../validate-file.js';
import type { Answer, BaseTexts, EncodedAside, EncodeTask, Task } from './protocol.js';

// A process that does one task, sends what came of it, and ends; or ends when there is nobody left to send it to.

async function perform(task: Task): Promise<unknown> {
  switch (task.kind) {
    case 'validate':
      return validateFile(task.path, task.problemsMax);
    case 'validate_evals':
      return validateEvals(task.path, task.problemsMax);
    case 'check_base':
      return checkBase(task.files);
    case 'check_adapter':
      return checkAdapter(task);
    case 'encode':
      return encodeAll(task, await load(task, task.day));
    case 'estimate':
      return estimateRun(task.run);
    case 'preview':
      return previewFile(task.path, await load(task, task.day), task);
    case 'split':
      return splitFile(task.from, task.parts, task.rest, task.seed, task.name);
    default:
      return task satisfies never;
  }
}

const load = ({ files, vocabSize }: BaseTexts, day?: string): Promise<TextTokenizer> =>
  loadBaseTokenizer(async (name) => files[name] ?? null, vocabSize, day === undefined ? undefined : new Date(day));

/** Each file gets an equal part of the time that is left. */
async function encodeAll(
  { rows: asked, trainingFiles, maxSeqLen, overLength, msMax }: EncodeTask,
  tokenizer: TextTokenizer,
): Promise<EncodedAside[]> {
  const until = performance.now() + msMax;
  const results: EncodedAside[] = [];
  const training: DuplicateFinder[] = [];
  for (const [i, { label, path }] of asked.entries()) {
    const options = {
      maxSeqLen,
      ...(overLength && { overLength }),
      training,
      isTraining: i < trainingFiles,
      msMax: (until - performance.now()) / (asked.length - i),
    };
    const { rows, seen, ...found } = await encodeNamed(label, path, tokenizer, options);
    if (options.isTraining) training.push(seen);
    results.push({ ...found, lengths: rows.map(({ ids }) => ids.length) });
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

process.on('disconnect', () => process.exit(1));
process.once('message', (task: Task) => {
  answer(task).then(
    (said) => process.send?.(said, () => process.exit(0)),
    (error: unknown) => {
      process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
      process.exit(1);
    },
  );
});
