/** The base's training as functions, so that the command and the replay in CI run the same steps. */
import { createHash } from 'node:crypto';
import { type PackedRows, packDocuments, packedBatch } from '@moraine/data';
import { createOptimizer, createTrainer, initialWeights, type StepResult, type Trainer } from '@moraine/lm';
import {
  BASE_CONFIG,
  baseConfig,
  INITIAL_STD,
  OPTIMIZER,
  ROWS_PER_STEP,
  SCHEDULE,
  TRAINING_SEED,
} from './base-recipe.js';
import { createEncoder } from './bpe.js';
import { corpusVocabulary, TRAIN_SEED } from './corpus.js';
import { writeDocument } from './documents.js';
import { PROBE_ROWS } from './probe.js';
import { CONTEXT_LENGTH } from './tokenizer.js';

/** Names the recipe: a checkpoint of another one is not resumed. */
export function recipeHash(): string {
  const recipe = { BASE_CONFIG, OPTIMIZER, SCHEDULE, ROWS_PER_STEP, TRAINING_SEED, INITIAL_STD };
  return createHash('sha256').update(JSON.stringify(recipe)).digest('hex').slice(0, 16);
}

/** A trainer of all weights at their starting values. */
export function createBaseTrainer(): Promise<Trainer> {
  return createTrainer({
    config: baseConfig,
    weights: initialWeights(baseConfig, { seed: TRAINING_SEED, std: INITIAL_STD }),
    adapter: null,
    optimizer: createOptimizer({ type: 'adamw', ...OPTIMIZER }),
    schedule: SCHEDULE,
    seed: TRAINING_SEED,
    shapes: [{ batch: ROWS_PER_STEP, time: CONTEXT_LENGTH }],
    evaluation: [
      { batch: ROWS_PER_STEP, time: CONTEXT_LENGTH },
      { batch: PROBE_ROWS, time: CONTEXT_LENGTH / 2 },
    ],
  });
}

/** The next step: its rows follow from its number alone. */
export function trainBaseStep(trainer: Trainer, train: PackedRows): StepResult {
  const first = trainer.steps * ROWS_PER_STEP;
  const rows = Array.from({ length: ROWS_PER_STEP }, (_, i) => (first + i) % train.rows);
  return trainer.step([packedBatch(train, rows)]);
}

/** The first rows of the training text, without the rest of the corpus: the data of the first `steps` steps. */
export function firstRows(steps: number): PackedRows {
  const encode = createEncoder(corpusVocabulary());
  const rows = steps * ROWS_PER_STEP;
  const documents: number[][] = [];
  let tokens = 0;
  // A cut document is packed again, so rows need fewer tokens than they hold; the last rows are left out.
  for (let index = 0; tokens < (rows + 1) * CONTEXT_LENGTH; index += 1) {
    const document = encode(writeDocument(TRAIN_SEED, index).text);
    tokens += document.length;
    documents.push(document);
  }
  return packDocuments(documents, CONTEXT_LENGTH);
}

/** Losses of the first steps, trained from nothing. */
export async function replayBase(steps: number, say: (line: string) => void = () => {}): Promise<number[]> {
  const train = firstRows(steps);
  const trainer = await createBaseTrainer();
  const losses: number[] = [];
  for (let i = 0; i < steps; i += 1) {
    const { step, loss } = trainBaseStep(trainer, train);
    losses.push(loss);
    say(`step ${step} loss ${loss.toFixed(6)}`);
  }
  trainer.dispose();
  return losses;
}

/** Processors differ in the order of their sums; over 20 steps of warm-up that stays far below this. Nats. */
export const REPLAY_TOLERANCE = 2e-3;

/** The first step whose loss is not the recorded one, said for people; null when all agree. */
export function replayDifference(losses: readonly number[], recorded: readonly number[]): string | null {
  for (const [i, loss] of losses.entries()) {
    const expected = recorded[i];
    if (expected === undefined) return `Only ${recorded.length} losses are recorded, not ${losses.length}.`;
    if (Math.abs(loss - expected) > REPLAY_TOLERANCE) {
      return `Step ${i + 1}: loss ${loss.toFixed(6)}, recorded ${expected.toFixed(6)}, tolerance ${REPLAY_TOLERANCE}.`;
    }
  }
  return null;
}
