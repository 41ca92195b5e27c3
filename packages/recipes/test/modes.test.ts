import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MethodConfig, TrainSpec } from '@moraine/contract';
import { describe, expect, it } from 'vitest';
import { failureOf } from '../src/index.js';
import { lossesOf, METHODS, ofType, runOf, specOf, writeTinyBase } from './tiny-base.js';

const base = writeTinyBase();
const rowsFile = join(base, 'mixed.jsonl');
const rows = Array.from({ length: 24 }, (_, i) => ({
  prompt: `${'ab'.repeat(1 + ((i * 5) % 7))}${i % 3}?`,
  completion: `${'xyz'.repeat(1 + ((i * 7) % 4))}!`,
}));
writeFileSync(rowsFile, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));

const lora: MethodConfig = { type: 'none', ...METHODS.lora };
const still = (method: MethodConfig): MethodConfig => (method.type === 'none' ? method : { ...method, dropout: 0 });

function mixedSpec(
  method: MethodConfig,
  config: Partial<TrainSpec['config']>,
  patch: Partial<TrainSpec> = {},
): TrainSpec {
  const spec = specOf(base, rowsFile, method, patch);
  Object.assign(spec.config, config);
  return spec;
}

describe.each(Object.entries(METHODS))('the loss of a run with %s', (_name, method) => {
  it('is the same to 1e-5, packed or in length buckets, whole or in three parts', async () => {
    const config = { steps: 6, accumulation: 1 };
    const packed = lossesOf(await runOf(mixedSpec(still(method), config)));
    const bucketed = lossesOf(await runOf(mixedSpec(still(method), { ...config, packing: false })));
    const inParts = lossesOf(await runOf(mixedSpec(still(method), { ...config, accumulation: 3 })));
    expect(packed).toHaveLength(6);
    for (const [step, loss] of packed.entries()) {
      expect(Math.abs(loss - (bucketed[step] ?? 0))).toBeLessThan(1e-5);
      expect(Math.abs(loss - (inParts[step] ?? 0))).toBeLessThan(1e-5);
    }
  });
});

describe('the mode of a run', () => {
  it('is plain, traced before the first step, and said in what a run tells when it is ready', async () => {
    const [ready] = ofType(await runOf(mixedSpec(lora, {}), 1), 'ready');
    expect(ready?.mode).toBe('plain');
    expect(ready?.timings.traceMs).toBeGreaterThan(0);
    expect(ready?.timings.loadMs).toBeGreaterThan(0);
  });

  it('stays: a checkpoint of another one is refused with both named, or taken when forced, with a warning', async () => {
    const checkpoint = ofType(await runOf(mixedSpec(lora, { mode: 'eager' }), 2), 'checkpoint')[0];
    expect(checkpoint?.step).toBe(2);
    const resumeFrom = checkpoint?.dir ?? null;
    const error: unknown = await runOf(mixedSpec(lora, {}, { resumeFrom })).catch((thrown: unknown) => thrown);
    expect(failureOf(error)).toMatchObject({ cause: 'user_config', code: 'checkpoint_mismatch', param: 'mode' });
    expect(failureOf(error).message).toMatch(/step 2 was computed in mode eager, the run asks for plain/);
    const forced = await runOf(mixedSpec(lora, {}, { resumeFrom, forceMode: true }), 1);
    expect(ofType(forced, 'message')).toMatchObject([
      { level: 'warn', message: expect.stringMatching(/mode plain .* eager/) },
    ]);
    expect(ofType(forced, 'metrics')[0]?.step).toBe(3);
  });

  it('gives eager and traced runs the same losses, which differ in the last bits at most', async () => {
    const plain = lossesOf(await runOf(mixedSpec(lora, { steps: 4 })));
    const eager = lossesOf(await runOf(mixedSpec(lora, { steps: 4, mode: 'eager' })));
    for (const [step, loss] of plain.entries()) expect(Math.abs(loss - (eager[step] ?? 0))).toBeLessThan(1e-5);
  });
});
