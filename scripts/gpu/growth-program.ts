/** Whether memory stays flat: trains a small shape with dropout for some time and says what the process and the card held on the way. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { linearShapes } from '@moraine/contract/plan';
import { loadTf } from '@moraine/engine';
import { createMethod, createOptimizer, createTrainer } from '@moraine/lm';
import { benchRows, loadBase, writeRandomBase } from '@moraine/recipes';
import { cardMemory } from './card.js';

const { seconds } = JSON.parse(process.argv[2] ?? '{}') as { seconds: number };
const [batch, time] = [8, 64];
const dir = mkdtempSync(join(tmpdir(), 'moraine-growth-'));
writeRandomBase(dir, '260k', 1);
const { config, weights } = loadBase(dir);
const { rows } = await benchRows({ baseDir: dir, dataFile: null, batch, seq: time, seed: 1 });
const trainer = await createTrainer({
  config,
  weights,
  adapter: {
    method: createMethod({ type: 'lora', rank: 8, alpha: 16, use_rslora: false }),
    paths: linearShapes(config).map(({ name }) => name),
    dropout: 0.1,
  },
  optimizer: createOptimizer({ type: 'adamw', beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, maxGradNorm: 1 }),
  schedule: { type: 'constant', learningRate: 1e-3, warmupSteps: 0, totalSteps: 1e9, minRatio: 1 },
  seed: 1,
  shapes: [{ batch, time }],
});
rmSync(dir, { recursive: true });
const ids = Int32Array.from(rows.flatMap((row) => row.ids));
const places = Int32Array.from(ids, (_, at) => at);
const full = {
  batch,
  time,
  ids,
  labels: ids,
  segments: places.map((at) => Math.floor(at / time)),
  positions: places.map((at) => at % time),
};

const MARKS = 10;
const seen: { rss: number; card: number | null; tensors: number }[] = [];
const begun = performance.now();
let steps = 0;
while (seen.length < MARKS) {
  trainer.step([full]);
  steps += 1;
  if (performance.now() - begun < (1000 * seconds * (seen.length + 1)) / MARKS) continue;
  seen.push({
    rss: process.memoryUsage.rss() / 2 ** 20,
    card: await cardMemory(),
    tensors: loadTf().memory().numTensors,
  });
}
trainer.dispose();
// The first three tenths warm allocators up.
const warm = seen.slice(3);
const spread = (values: number[]): number => Math.max(...values) - Math.min(...values);
const cards = warm.flatMap(({ card }) => (card === null ? [] : [card]));
process.stdout.write(
  `${JSON.stringify({
    steps,
    rss_mb: warm.at(-1)?.rss,
    rss_growth_mb: spread(warm.map(({ rss }) => rss)),
    card_mb: cards.at(-1) ?? null,
    card_growth_mb: cards.length === 0 ? null : spread(cards),
    tensor_growth: spread(warm.map(({ tensors }) => tensors)),
  })}\n`,
);
