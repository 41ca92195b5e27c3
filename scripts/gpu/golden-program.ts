/**
 * PyTorch's fixtures on this device, in one numeric mode: the evaluation, ten losses and gradient norms of every row, and the trained
 * variables afterwards. The numbers are those of packages/lm/test/golden.test.ts, which a bundle cannot run. Argument: {mode}.
 */
import type { NumericMode } from '@moraine/engine';
import { createOptimizer, createTrainer } from '../../packages/lm/src/index.js';
import { difference, goldenOf, goldenRows, worst } from '../../packages/lm/test/golden-set.js';

/** Largest distances from PyTorch, each relative to the largest value. */
export interface GoldenRow {
  name: string;
  evaluation: number;
  losses: number;
  gradient_norms: number;
  after: number;
}

const { mode } = JSON.parse(process.argv[2] ?? '{}') as { mode: NumericMode };
const rows: GoldenRow[] = [];
for (const row of goldenRows) {
  const { config, weights, adapter, start, batch, batches, schedule, ...golden } = goldenOf(row);
  const shapes = [{ batch: 5, time: 20 }];
  const optimizer = createOptimizer(golden.optimizer);
  const trainer = await createTrainer({
    config,
    weights,
    adapter,
    optimizer,
    schedule,
    seed: 1,
    mode,
    shapes,
    evaluation: shapes,
  });
  try {
    trainer.load({ ...trainer.state(), trainable: start });
    const scored = trainer.score(batch).losses;
    const mean = scored.reduce((sum, nats) => sum + nats, 0) / scored.length;
    const steps = golden.losses.map(() => trainer.step(batches));
    rows.push({
      name: row.name,
      evaluation: difference([mean], [golden.loss]),
      losses: difference(
        steps.map(({ loss }) => loss),
        golden.losses,
      ),
      gradient_norms: difference(
        steps.map(({ gradNorm }) => gradNorm),
        golden.gradNorms,
      ),
      after: worst(trainer.variables(), golden.after).value,
    });
  } finally {
    trainer.dispose();
  }
}
process.stdout.write(`${JSON.stringify({ rows })}\n`);
