import { copyFileSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { linearShapes } from '@moraine/contract/plan';
import { expect, it } from 'vitest';
import { loadBase, writeRandomBase } from '../src/index.js';
import { runApart } from './run-apart.js';
import { ofType, specOf, writeTinyBase } from './tiny-base.js';

const STEPS = 2000;
/** Allocators and the code of a step warm up over the first quarter. */
const WARM = 500;
const FLAT_MB = 20;

it('two thousand steps at the 260K shape do not make the memory grow', async () => {
  const tiny = writeTinyBase();
  const base = mkdtempSync(join(tmpdir(), 'moraine-260k-'));
  writeRandomBase(base, '260k', 1);
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) copyFileSync(join(tiny, name), join(base, name));
  const rows = Array.from({ length: 40 }, (_, i) => ({
    prompt: `${'ab'.repeat(i % 5)}?`,
    completion: `${'xy'.repeat(1 + (i % 4))}!`,
  }));
  const file = join(base, 'rows.jsonl');
  writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const spec = specOf(base, file, {
    type: 'lora',
    rank: 4,
    alpha: 8,
    use_rslora: false,
    dropout: 0.1,
    target_modules: linearShapes(loadBase(base).config).map(({ name }) => name),
  });
  Object.assign(spec.config, { steps: STEPS, batch_size: 4, accumulation: 1 });
  spec.config.checkpoint.every_steps = 0;
  const [events = []] = await runApart([{ spec }]);
  const memory = ofType(events, 'metrics').map(({ values }) => values.memory_mb ?? 0);
  expect(memory).toHaveLength(STEPS);
  const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  const afterWarmUp = mean(memory.slice(WARM, WARM + 250));
  for (let step = WARM; step < STEPS; step += 250) {
    expect(mean(memory.slice(step, step + 250)) - afterWarmUp).toBeLessThan(FLAT_MB);
  }
}, 120_000);
