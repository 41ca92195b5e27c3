/**
 * `npm run base:train`: trains the base model and writes examples/base. Stop it at any time: the next start goes on from the
 * newest checkpoint and repeats the uninterrupted run exactly. `--replay N` trains the first N steps and compares their losses with
 * the committed ones.
 */
import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { device } from '@moraine/engine';
import { loadLatestCheckpoint, saveCheckpoint } from './base-checkpoint.js';
import { ROWS_PER_STEP, TOTAL_STEPS } from './base-recipe.js';
import { createBaseTrainer, recipeHash, replayBase, replayDifference, trainBaseStep } from './base-training.js';
import { createEncoder } from './bpe.js';
import { type CorpusReport, corpusVocabulary, ensureCorpus, readPacked } from './corpus.js';
import { closedBookScore, quoteScores, validationLoss } from './probe.js';
import { CONTEXT_LENGTH } from './tokenizer.js';
import { type LogEntry, writeBase } from './write-base.js';

const CHECKPOINT_EVERY = 200;
const VALIDATE_EVERY = 500;

const { values } = parseArgs({
  options: {
    // not --dir: the loader of TensorFlow's binding reads that flag of the process and looks there
    work: { type: 'string', default: '.data/base-train' },
    corpus: { type: 'string', default: '.data/corpus' },
    steps: { type: 'string' },
    out: { type: 'string', default: 'examples/base' },
    replay: { type: 'string' },
  },
});
const directory = resolve(values.work);
const lastStep = values.steps === undefined ? TOTAL_STEPS : Number(values.steps);
const logFile = join(directory, 'log.jsonl');

const say = (line: string): void => {
  process.stdout.write(`${new Date().toISOString().slice(11, 19)} ${line}\n`);
};

if (values.replay !== undefined) {
  const text = await readFile(join(resolve(values.out), 'first-steps.json'), 'utf8');
  const { losses: recorded } = JSON.parse(text) as { losses: number[] };
  const difference = replayDifference(await replayBase(Number(values.replay), say), recorded);
  say(difference ?? 'The recorded losses were repeated.');
  process.exit(difference === null ? 0 : 1);
}

/** Keeps the log's lines up to a step: a resumed run writes the later ones again. */
async function cutLog(step: number): Promise<void> {
  const kept = (await readLog()).filter((entry) => entry.step <= step);
  await writeFile(logFile, kept.map((entry) => `${JSON.stringify(entry)}\n`).join(''));
}

async function readLog(): Promise<LogEntry[]> {
  const text = await readFile(logFile, 'utf8').catch(() => '');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as LogEntry);
}

const corpus = await ensureCorpus(resolve(values.corpus), say);
const train = await readPacked(join(corpus, 'train.bin'));
const validation = await readPacked(join(corpus, 'validation.bin'));
const vocabulary = corpusVocabulary();
const encode = createEncoder(vocabulary);
await mkdir(directory, { recursive: true });

const trainer = await createBaseTrainer();
const checkpoint = await loadLatestCheckpoint(directory, recipeHash());
if (checkpoint) trainer.load(checkpoint);
await cutLog(trainer.steps);
say(`${trainer.parameterCount} parameters on ${device().name}, from step ${trainer.steps} to ${lastStep}`);

let windowLoss = 0;
let windowSteps = 0;
let windowStart = performance.now();
while (trainer.steps < lastStep) {
  const { step, loss, gradNorm, learningRate } = trainBaseStep(trainer, train);
  const entry: LogEntry & Record<string, unknown> = { step, loss, gradNorm, learningRate };
  windowLoss += loss;
  windowSteps += 1;
  if (step % 20 === 0) {
    const seconds = (performance.now() - windowStart) / 1000;
    const tokensPerSecond = Math.round((windowSteps * ROWS_PER_STEP * CONTEXT_LENGTH) / seconds);
    const minutesLeft = (((lastStep - step) * seconds) / windowSteps / 60).toFixed(0);
    say(
      `step ${step} loss ${(windowLoss / windowSteps).toFixed(4)} ${tokensPerSecond} tokens/s, ${minutesLeft} min left`,
    );
    entry.tokensPerSecond = tokensPerSecond;
    windowLoss = 0;
    windowSteps = 0;
    windowStart = performance.now();
  }
  if (step % CHECKPOINT_EVERY === 0 || step === lastStep) {
    entry.quoteFrom = await quoteScores(trainer.score, encode);
    entry.closedBook = await closedBookScore(trainer.score, encode);
    say(`step ${step} who gave % ${JSON.stringify(entry.quoteFrom)} closed-book % ${String(entry.closedBook)}`);
  }
  if (step % VALIDATE_EVERY === 0 || step === lastStep) {
    entry.validationLoss = await validationLoss(trainer.score, validation);
    say(`step ${step} validation loss ${entry.validationLoss.toFixed(4)}`);
  }
  await appendFile(logFile, `${JSON.stringify(entry)}\n`);
  if (step % CHECKPOINT_EVERY === 0 || step === lastStep) {
    await saveCheckpoint(directory, trainer.state(), recipeHash());
    windowStart = performance.now();
  }
}
say(`${trainer.steps} steps done`);
if (trainer.steps === TOTAL_STEPS) {
  const report = JSON.parse(await readFile(join(corpus, 'corpus.json'), 'utf8')) as CorpusReport;
  const out = resolve(values.out);
  await writeBase(out, trainer, vocabulary, report, await readLog());
  say(`Written to ${out}`);
}
