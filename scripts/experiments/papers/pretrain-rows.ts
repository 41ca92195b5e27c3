/** What a model that has learned nothing is trained on, and that model: documents of the corpus of the shipped base, and its architecture at random weights. */
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeSafetensors } from '@moraine/engine';
import { initialWeights } from '@moraine/lm';
import { BASE_CONFIG, baseConfig, INITIAL_STD, TRAINING_SEED } from '../../corpus/base-recipe.js';
import { TRAIN_SEED, VALIDATION_SEED } from '../../corpus/corpus.js';
import { writeDocument } from '../../corpus/documents.js';

/** Once through 9,600 rows is 600 steps of 16. */
const ROWS = {
  train: [TRAIN_SEED, 0, 9_600],
  validation: [VALIDATION_SEED, 0, 200],
  test: [VALIDATION_SEED, 1_000_000, 400],
} as const;

type Part = keyof typeof ROWS;

/** Rows of each part. Short documents are written more than once: rows that choose or judge are none that were trained on, and none of each other. */
export function pretrainRows(): Record<Part, { text: string }[]> {
  const seen = new Set<string>();
  const rowsOf = (part: Part): { text: string }[] => {
    const [seed, from, count] = ROWS[part];
    const texts = Array.from({ length: count }, (_, i) => writeDocument(seed, from + i).text);
    const fresh = part === 'train' ? texts : texts.filter((text) => !seen.has(text));
    for (const text of texts) seen.add(text);
    return fresh.map((text) => ({ text }));
  };
  return { train: rowsOf('train'), validation: rowsOf('validation'), test: rowsOf('test') };
}

/** The folder of a base whose weights are random: as `npm run base:train` starts. */
export function writeUntrainedBase(folder: string, shipped: string): void {
  mkdirSync(folder, { recursive: true });
  for (const name of ['generation_config.json', 'tokenizer.json', 'tokenizer_config.json'])
    copyFileSync(join(shipped, name), join(folder, name));
  writeFileSync(join(folder, 'config.json'), `${JSON.stringify(BASE_CONFIG, null, 2)}\n`);
  const weights = initialWeights(baseConfig, { seed: TRAINING_SEED, std: INITIAL_STD });
  writeSafetensors(join(folder, 'model.safetensors'), weights, { format: 'pt' });
}
