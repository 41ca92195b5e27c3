import type { NumericMode } from '@moraine/contract';
import { createOptimizer, createTrainer } from '../src/index.js';
import type { Bounds } from './bounds.js';
import { difference, type Golden, goldenOf, type goldenRows, worst } from './golden-set.js';

export type TenSteps = Awaited<ReturnType<typeof runTenSteps>>;

/**
 * Loss of the first batch of a golden row before, ten steps, and what is trained after them. The program's shape is larger than the
 * micro-batches, so padding is part of what must not show.
 */
export async function runTenSteps(row: (typeof goldenRows)[number], mode: NumericMode) {
  const { config, weights, adapter, whole, start, batch, batches, schedule, ...golden } = goldenOf(row);
  const { klToBase, klOn, hasSources } = golden;
  const optimizer = createOptimizer(golden.optimizer);
  const shapes = [{ batch: 5, time: 20 }];
  const aims = { klToBase, klOn, hasSources };
  const model = { config, weights, adapter, whole };
  const trainer = await createTrainer({
    ...model,
    ...aims,
    optimizer,
    schedule,
    seed: 1,
    mode,
    shapes,
    evaluation: shapes,
  });
  try {
    trainer.load({ ...trainer.state(), trainable: start });
    const { losses } = trainer.score(batch);
    const evaluation = losses.reduce((sum, nats) => sum + nats, 0) / losses.length;
    const steps = golden.losses.map(() => trainer.step(batches));
    return { evaluation, steps, variables: trainer.variables() };
  } finally {
    trainer.dispose();
  }
}

export type Distance = [what: string, value: number, bound: keyof Bounds];

/** How far ten steps are from PyTorch's, each by max|a - b| / max|b|, and which bound it must stay below. */
export function distances(golden: Golden, { evaluation, steps, variables }: TenSteps): Distance[] {
  const apart = (of: (step: TenSteps['steps'][number]) => number | undefined, expected: number[]) =>
    difference(
      steps.map((step) => of(step) ?? Number.NaN),
      expected,
    );
  const { divergences, sourceLosses } = golden;
  const { name, value } = worst(variables, golden.after);
  return [
    ['evaluation', difference([evaluation], [golden.loss]), 'loss'],
    ['losses', apart(({ loss }) => loss, golden.losses), 'losses'],
    ...optional(
      'divergence from the base',
      divergences && apart(({ klToBase }) => klToBase, divergences),
      'divergences',
    ),
    ...optional(
      'loss of source rows',
      sourceLosses && apart(({ lossByRole }) => lossByRole?.source, sourceLosses),
      'sourceLosses',
    ),
    ['gradient norms', apart(({ gradNorm }) => gradNorm, golden.gradNorms), 'gradNorms'],
    [`${name} after the last step`, value, 'parameters'],
  ];
}

const optional = (what: string, value: number | undefined, bound: keyof Bounds): Distance[] =>
  value === undefined ? [] : [[what, value, bound]];
