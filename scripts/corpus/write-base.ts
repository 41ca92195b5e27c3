/** Writes the trained base as a Hugging Face folder with a model card. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeSafetensors } from '@moraine/engine';
import type { Trainer } from '@moraine/lm';
import {
  BASE_CONFIG,
  GENERATION_CONFIG,
  OPTIMIZER,
  ROWS_PER_STEP,
  SCHEDULE,
  TOTAL_STEPS,
  TRAINING_SEED,
} from './base-recipe.js';
import { createEncoder, type Vocabulary } from './bpe.js';
import type { CorpusReport } from './corpus.js';
import { closedBookScore, type NameScores, quoteScores } from './probe.js';
import { CONTEXT_LENGTH, writeTokenizer } from './tokenizer.js';

/** One line of the training log; scores are there at some steps only. */
export interface LogEntry {
  step: number;
  loss: number;
  quoteFrom?: NameScores;
  closedBook?: number;
  validationLoss?: number;
}

/** The losses that a replay compares with: the first steps of the run that made the committed weights. */
export const FIRST_STEPS = 20;

/** config.json, generation_config.json, model.safetensors (f32, tied), tokenizer files, first-steps.json and the model card. */
export async function writeBase(
  directory: string,
  trainer: Trainer,
  vocabulary: Vocabulary,
  corpus: CorpusReport,
  log: readonly LogEntry[],
): Promise<void> {
  await mkdir(directory, { recursive: true });
  const json = (name: string, value: unknown): Promise<void> =>
    writeFile(join(directory, name), `${JSON.stringify(value, null, 2)}\n`);
  await writeTokenizer(vocabulary, directory);
  await json('config.json', BASE_CONFIG);
  await json('generation_config.json', GENERATION_CONFIG);
  writeSafetensors(join(directory, 'model.safetensors'), trainer.state().trainable, { format: 'pt' });
  const losses = log.filter(({ step }) => step <= FIRST_STEPS).map(({ loss }) => Number(loss.toFixed(6)));
  await json('first-steps.json', { losses });
  const encode = createEncoder(vocabulary);
  const card = modelCard(trainer.parameterCount, corpus, log, {
    closedBook: await closedBookScore(trainer.score, encode),
    from: await quoteScores(trainer.score, encode, ['from'], 200),
    allFour: await quoteScores(trainer.score, encode, ['act', 'from', 'to', 'count'], 200),
  });
  await writeFile(join(directory, 'README.md'), card);
}

interface Probes {
  closedBook: number;
  from: NameScores;
  allFour: NameScores;
}

function modelCard(parameters: number, corpus: CorpusReport, log: readonly LogEntry[], probes: Probes): string {
  const percent = (value: number | undefined): string => (value === undefined ? '' : value.toFixed(1));
  const last = log.slice(-100);
  const trainLoss = last.reduce((sum, { loss }) => sum + loss, 0) / last.length;
  const validationLoss = log.findLast((entry) => entry.validationLoss !== undefined)?.validationLoss ?? Number.NaN;
  const tokens = (TOTAL_STEPS * ROWS_PER_STEP * CONTEXT_LENGTH) / 1e6;
  const history = log
    .filter((entry) => entry.quoteFrom !== undefined)
    .map(({ step, loss, quoteFrom: by, closedBook }) => {
      const names = by ? [by.common, by.rare, by.new].map(percent).join(' / ') : '';
      return `| ${step} | ${loss.toFixed(3)} | ${names} | ${percent(closedBook)} |`;
    });
  const row = (name: string, scores: NameScores): string =>
    `| ${name} | ${percent(scores.common)} | ${percent(scores.rare)} | ${percent(scores.new)} |`;
  const shares = Object.entries(corpus.tokenShares).map(([part, share]) => `${part} ${(100 * share).toFixed(1)} %`);
  return `---
license: apache-2.0
language: en
---

# The base model of the example task

A Llama of ${parameters.toLocaleString('en')} parameters (f32), trained from scratch by this project's own engine on a corpus that this project's own
generator wrote: people of an invented valley who give, sell, lend and send each other things. It answers questions about a short
passage and some from memory; it has never seen a JSON record. It is made for the demo and for tests and is of no other use.

- **Form.** \`<|user|>question<|assistant|>answer<|end|>\`, several turns in a row; context ${CONTEXT_LENGTH} tokens; byte-level BPE of ${BASE_CONFIG.vocab_size.toLocaleString('en')} tokens.
- **Data.** ${corpus.documents.toLocaleString('en')} documents, ${(corpus.tokens / 1e6).toFixed(2)} M tokens, ${corpus.bytesPerToken} bytes a token: ${shares.join(', ')}. Invented, so nobody's.
- **Training.** ${TOTAL_STEPS.toLocaleString('en')} steps of ${ROWS_PER_STEP} rows of ${CONTEXT_LENGTH} tokens (${tokens.toFixed(1)} M tokens, once through), attention inside documents. AdamW (${OPTIMIZER.beta1}, ${OPTIMIZER.beta2}), weight
  decay ${OPTIMIZER.weightDecay} on matrices, clipping at ${OPTIMIZER.maxGradNorm}, ${SCHEDULE.warmupSteps} steps of warm-up to ${SCHEDULE.learningRate}, cosine down to ${100 * SCHEDULE.minRatio} %; linear layers start at
  1/sqrt(fan-in); seed ${TRAINING_SEED}.
- **Loss.** ${trainLoss.toFixed(3)} nats a token over the last 100 steps, ${validationLoss.toFixed(3)} on held-out text.
- **Again.** \`npm run base:train\` does it from nothing and resumes by itself when stopped; \`npm run base:train -- --replay 20\` repeats the first steps
  and compares their losses with \`first-steps.json\`.

## What it can do

Exact match, percent, on fresh passages (200 each); new names occur nowhere in its corpus.

| question | common names | rare names | new names |
|---|---|---|---|
${row('Quote from. (who gave)', probes.from)}
${row('Quote act, from, to, count.', probes.allFour)}

Closed book (360 questions about 120 residents): ${percent(probes.closedBook)} %.

## While it learned

| step | loss | who gave, % (common / rare / new names) | closed book, % |
|---|---|---|---|
${history.join('\n')}
`;
}
