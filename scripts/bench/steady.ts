/**
 * `npx tsx scripts/bench/steady.ts [STEPS]`: trains so many steps (20,000) at the 260K shape with LoRA, dropout and rows of all lengths, packed,
 * and says what memory the process holds on the way. Ends with 1 when it leaves ±20 MB after the first tenth.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { linearShapes } from '@moraine/contract/plan';
import { createRandom, type EncodedRow, layOut, layoutCost, planLayout } from '@moraine/data';
import { createMethod, createOptimizer, createTrainer } from '@moraine/lm';
import { loadBase, writeRandomBase } from '@moraine/recipes';

const steps = Number(process.argv[2] ?? 20_000);
const ROWS_PER_STEP = 4;
const FLAT_MB = 20;

const dir = mkdtempSync(join(tmpdir(), 'moraine-steady-'));
writeRandomBase(dir, '260k', 1);
const { config, weights } = loadBase(dir);
const random = createRandom(1);
const rows: EncodedRow[] = Array.from({ length: 500 }, () => {
  const ids = Array.from({ length: random.int(8, 100) }, () => random.int(0, config.vocabSize - 1));
  return { ids, labels: ids };
});
const rowsOf = (step: number) =>
  Array.from({ length: ROWS_PER_STEP }, (_, i) => ((step - 1) * ROWS_PER_STEP + i) % rows.length);
const layout = planLayout({
  lengths: rows.map(({ ids }) => ids.length),
  steps: Array.from({ length: 100 }, (_, i) => rowsOf(i + 1)),
  packing: true,
  cost: layoutCost(config),
  passes: steps,
});
const trainer = await createTrainer({
  config,
  weights,
  adapter: {
    method: createMethod({ type: 'lora', rank: 8, alpha: 16, use_rslora: false }),
    paths: linearShapes(config).map(({ name }) => name),
    dropout: 0.1,
  },
  optimizer: createOptimizer({ type: 'adamw', beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, maxGradNorm: 1 }),
  schedule: { type: 'constant', learningRate: 1e-3, warmupSteps: 0, totalSteps: steps, minRatio: 1 },
  seed: 1,
  shapes: layout.shapes,
});
rmSync(dir, { recursive: true });

const every = Math.max(1, Math.floor(steps / 20));
const seen: number[] = [];
for (let step = 1; step <= steps; step += 1) {
  const batches = layOut(
    rowsOf(step).map((row) => rows[row] as EncodedRow),
    layout,
    0,
  );
  const { loss } = trainer.step(batches);
  if (step % every === 0) {
    const memoryMb = process.memoryUsage.rss() / 2 ** 20;
    seen.push(memoryMb);
    process.stdout.write(`step ${step} of ${steps}: loss ${loss.toFixed(4)}, ${memoryMb.toFixed(1)} MB\n`);
    await new Promise(setImmediate);
  }
}
trainer.dispose();
const warm = seen.slice(Math.ceil(seen.length / 10));
const spread = Math.max(...warm) - Math.min(...warm);
process.stdout.write(`after the first tenth: ${Math.min(...warm).toFixed(1)} to ${Math.max(...warm).toFixed(1)} MB\n`);
if (spread > 2 * FLAT_MB) process.exitCode = 1;
