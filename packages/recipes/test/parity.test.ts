// Expected numbers: distances of logits written down by hand; the same model twice is 0 apart.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AttemptEvent, MethodConfig } from '@moraine/contract';
import { readSafetensors, writeSafetensors } from '@moraine/engine';
import { createMethod, initialAdapter, type Method } from '@moraine/lm';
import { describe, expect, it } from 'vitest';
import { compareLogits, madeRows, parityProblem, pinnedRows } from '../src/export/parity.js';
import { writeExports } from '../src/exports.js';
import { loadBase, readAdapter, readWeight } from '../src/index.js';
import { METHODS, ofType, runOf, specOf, tinyTargets, writeSums, writeTinyBase } from './tiny-base.js';

const logits = (...rows: number[][]) => ({ shape: [rows.length, 3], data: Float32Array.from(rows.flat()) });

describe('two sets of logits', () => {
  it('are compared by the largest difference, the largest logit and the most likely tokens', () => {
    const parity = compareLogits(2, logits([1, 5, 2], [-8, 0, 1]), logits([1, 5.5, 2], [-8, 1, 0.5]));
    expect(parity).toEqual({
      prompts: 2,
      tokens: 2,
      max_logit_difference: 1,
      max_logit: 8,
      top1_agreement: 0.5,
    });
  });

  it('with one that is no number are as far apart as can be', () => {
    const broken = compareLogits(1, logits([1, 5, 2]), logits([1, Number.NaN, 2]));
    expect(broken.max_logit_difference).toBe(Number.POSITIVE_INFINITY);
    expect(parityProblem('peft', broken, null)).toMatch(/'peft'.*Infinity/);
  });

  it('may differ by rounding: of an exact form hardly, of weights in bfloat16 more', () => {
    const apart = (share: number) => ({
      prompts: 1,
      tokens: 1,
      max_logit_difference: 20 * share,
      max_logit: 20,
      top1_agreement: 1,
    });
    expect(parityProblem('peft', apart(5e-5), null)).toBeNull();
    expect(parityProblem('peft', apart(5e-4), null)).toMatch(/'peft' does not compute what was trained/);
    expect(parityProblem('merged', apart(5e-4), 'F32')).toBeNull();
    expect(parityProblem('merged', apart(5e-2), 'F32')).not.toBeNull();
    expect(parityProblem('merged', apart(5e-2), 'BF16')).toBeNull();
    expect(parityProblem('merged', apart(0.5), 'BF16')).toMatch(/50|10\.0/);
  });
});

it('the pinned rows are the beginnings of the first rows; those without a file are the same every time', () => {
  const rows = Array.from({ length: 6 }, (_, i) => ({
    ids: Int32Array.from({ length: 40 }, (_unused, t) => 100 * i + t),
  }));
  const pinned = pinnedRows([{ ids: Int32Array.of() }, ...rows]);
  expect(pinned.map((row) => [row[0], row.length])).toEqual([
    [0, 32],
    [100, 32],
    [200, 32],
  ]);
  expect(madeRows(7)).toEqual(madeRows(7));
  expect(Math.max(...madeRows(7).flat())).toBeLessThan(7);
});

describe('a run', () => {
  const base = writeTinyBase();
  const sums = writeSums(base, 'sums.jsonl', 12);
  const finish = async (adapter: MethodConfig, baseDir = base, keepsMerged = true) => {
    const spec = specOf(baseDir, sums, adapter, { keepsMerged });
    spec.config.steps = 3;
    const events: AttemptEvent[] = await runOf(spec);
    return { spec, exports: ofType(events, 'finished')[0]?.exports ?? [] };
  };

  it.each(['lora', 'mora type 1', 'full'])(
    'of %s says of every export how far it is from what was trained',
    async (name) => {
      const { exports } = await finish(METHODS[name] ?? { type: 'none' });
      expect(exports.length).toBeGreaterThan(0);
      for (const { kind, dir, report } of exports) {
        const { parity, problem, rounding } = report;
        expect(problem).toBeNull();
        expect(parity?.prompts).toBe(4);
        expect(parity?.top1_agreement).toBe(1);
        expect((parity?.max_logit_difference ?? 1) / (parity?.max_logit ?? 1)).toBeLessThan(1e-5);
        // What is not merged holds the trained numbers themselves.
        if (kind === 'adapter') expect(parity?.max_logit_difference).toBe(0);
        expect(rounding?.share ?? 0).toBe(0);
        const card = JSON.parse(readFileSync(join(dir ?? '', 'export.json'), 'utf8'));
        expect(card).toMatchObject({ lambda: 1, base: 'tiny', report });
        expect(readFileSync(join(dir ?? '', 'README.md'), 'utf8')).toContain('Read back and compared');
      }
    },
  );

  it('on a base in bfloat16 states what rounding loses: ‖W − round(W)‖ / ‖W − W0‖', async () => {
    const half = writeTinyBase();
    const file = join(half, 'model.safetensors');
    const { tensors } = readSafetensors(file);
    const asHalf = [...tensors].map(([name, { shape, data }]) => [name, { dtype: 'BF16', shape, data }] as const);
    writeSafetensors(file, new Map(asHalf));
    const { exports } = await finish(METHODS.lora ?? { type: 'none' }, half);
    const merged = exports.find(({ kind }) => kind === 'merged');
    const { rounding, parity } = merged?.report ?? {};
    expect(rounding?.dtype).toBe('BF16');

    const before = readSafetensors(file).tensors;
    const after = readSafetensors(join(merged?.dir ?? '', 'model.safetensors')).tensors;
    const { variables } = readAdapter(exports.find(({ kind }) => kind === 'adapter')?.dir ?? '', loadBase(half).config);
    let [lost, changed] = [0, 0];
    for (const path of tinyTargets) {
      const [a, b] = ['A', 'B'].map((x) => variables.get(`${path}.lora_${x}`));
      const [w0, w] = [before.get(`${path}.weight`), after.get(`${path}.weight`)];
      const [rank = 0, width = 0] = a?.shape ?? [];
      for (const [i, old] of Float32Array.from((w0?.data ?? []) as Float32Array).entries()) {
        const [row, column] = [Math.floor(i / width), i % width];
        let update = 0;
        for (let k = 0; k < rank; k++)
          update += 2 * (b?.data[row * rank + k] ?? 0) * (a?.data[k * width + column] ?? 0);
        changed += update ** 2;
        lost += (old + update - Number(w?.data[i])) ** 2;
      }
    }
    expect(rounding?.share).toBeCloseTo(Math.sqrt(lost / changed), 3);
    expect(rounding?.share).toBeGreaterThan(1e-3);
    expect(rounding?.worst_weight).toMatch(/_proj\.weight$/);
    expect(parity?.max_logit_difference).toBeGreaterThan(0);
  });

  it('compares the merged model without writing it, where nobody keeps it', async () => {
    const { spec, exports } = await finish(METHODS.lora ?? { type: 'none' }, base, false);
    const merged = exports.find(({ kind }) => kind === 'merged');
    expect(merged?.dir).toBeNull();
    expect(merged?.report.parity?.top1_agreement).toBe(1);
    expect(existsSync(join(spec.outDir, 'exports', 'merged'))).toBe(false);
    const { exports: kept } = await finish(METHODS.lora ?? { type: 'none' });
    const cards = ['export.json', 'README.md'].map((name) =>
      join(kept.find(({ kind }) => kind === 'merged')?.dir ?? '', name),
    );
    const written =
      (kept.find(({ kind }) => kind === 'merged')?.sizeBytes ?? 0) -
      cards.reduce((sum, card) => sum + readFileSync(card).length, 0);
    expect(merged?.sizeBytes).toBe(written);
  });

  it('whose file does not hold what was trained fails, names the export and the figure, and leaves no folder of it', async () => {
    const loaded = loadBase(base);
    const method = createMethod({ type: 'lora', rank: 2, alpha: 4, use_rslora: false });
    // A writer that forgets the scale.
    const toPeft: Method['toPeft'] = (adapter) => {
      const files = method.toPeft(adapter);
      return files && { ...files, config: { ...files.config, lora_alpha: 2 } };
    };
    const adapter = { method: { ...method, toPeft }, paths: tinyTargets, dropout: 0 };
    const start = initialAdapter(loaded.config, adapter, 1, (name) => readWeight(loaded, name));
    const variables = new Map(
      [...start].map(([name, { shape, data }]) => [name, { shape, data: data.map((_, i) => Math.sin(i)) }]),
    );
    const spec = specOf(base, sums, METHODS.lora ?? { type: 'none' });
    const parent = join(spec.outDir, 'exports');
    const trainer = { variables: () => variables, stateShapes: { trainable: new Map(), optimizer: new Map() } };
    const rows = pinnedRows([{ ids: [1, 2, 3, 4] }]);
    await expect(writeExports(parent, { spec, base: loaded, adapter, trainer, rows })).rejects.toThrow(
      /'peft' does not compute what was trained.*differ by up to \d/,
    );
    expect(readdirSync(parent)).toEqual([]);
    const right = await writeExports(parent, { spec, base: loaded, adapter: { ...adapter, method }, trainer, rows });
    expect(right.map(({ kind }) => kind)).toEqual(['peft', 'adapter', 'merged']);
  });
});
