/** The base's training as functions, so that the command and the replay in CI run the same steps. */
import { createHash } from 'node:crypto';
import { type PackedRows, packedBatch } from '@moraine/data';
import { createTrainer, initialWeights, type StepResult, type Trainer, toDevice } from '@moraine/lm';
import {
  BASE_CONFIG,
  baseConfig,
  INITIAL_STD,
  OPTIMIZER,
  ROWS_PER_STEP,
  SCHEDULE,
  TRAINING_SEED,
} from './base-recipe.js';

/** Names the recipe: a checkpoint of another one is not resumed. */
export function recipeHash(): string {
  const recipe = { BASE_CONFIG, OPTIMIZER, SCHEDULE, ROWS_PER_STEP, TRAINING_SEED, INITIAL_STD };
  return createHash('sha256').update(JSON.stringify(recipe)).digest('hex').slice(0, 16);
}

/** A trainer of all weights at their starting values. */
export function createBaseTrainer(): Trainer {
  const initial = initialWeights(baseConfig, { seed: TRAINING_SEED, std: INITIAL_STD });
  const weights = new Map([...initial].map(([name, tensor]) => [name, toDevice(tensor)]));
  const trainer = createTrainer({
    config: baseConfig,
    weights,
    adapter: null,
    optimizer: OPTIMIZER,
    schedule: SCHEDULE,
    seed: TRAINING_SEED,
  });
  for (const tensor of weights.values()) tensor.dispose();
  return trainer;
}

/** The next step: its rows follow from its number alone. */
export function trainBaseStep(trainer: Trainer, train: PackedRows): StepResult {
  const first = trainer.steps * ROWS_PER_STEP;
  const rows = Array.from({ length: ROWS_PER_STEP }, (_, i) => (first + i) % train.rows);
  return trainer.step([packedBatch(train, rows)]);
}
