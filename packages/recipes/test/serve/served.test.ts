import { readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readSafetensors, writeSafetensors } from '@moraine/engine';
import { adapterAtLambda, logitsOf, type MethodOptions } from '@moraine/lm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Base, hashTrained, loadBase, openServed, readAdapter, readWeight, type Served } from '../../src/index.js';
import { openBaseModel } from '../../src/serve/base-model.js';
import { createBudget } from '../../src/serve/budget.js';
import { servingPlan } from '../../src/serve/plan.js';
import { createResidents } from '../../src/serve/residents.js';
import { writeTinyBase } from '../tiny-base.js';
import { writeAdapter, writeWhole } from './trained-folders.js';

// A base of random weights answers otherwise with every adapter, and every answer is compared with full passes of the eager oracle.

const baseDir = writeTinyBase();
const base = loadBase(baseDir);
const prompt = [5, 9, 77, 30, 120];
const TOKENS = 6;

/** The most likely tokens after the prompt, each from a whole pass over those before. */
function oracle(dir: string | null, lambda = 1, model: Base = base): number[] {
  const read = dir === null ? undefined : readAdapter(dir, base.config);
  const tuned = read && adapterAtLambda(read.adapter, read.variables, lambda, (name) => readWeight(base, name));
  const ids = [...prompt];
  for (let i = 0; i < TOKENS; i++) {
    const { data } = logitsOf({ config: base.config, weightOf: (name) => readWeight(model, name), tuned }, [ids]);
    const last = data.subarray(data.length - base.config.vocabSize);
    ids.push(last.indexOf(Math.max(...last)));
  }
  return ids.slice(prompt.length);
}

const lora = (rank: number): MethodOptions => ({ type: 'lora', rank, alpha: 2 * rank, use_rslora: false });
const ROWWISE: [string, MethodOptions][] = [
  ['LoRA', lora(2)],
  ['LoRA of another rank', lora(4)],
  ['MoRA', { type: 'mora', rank: 4, mora_type: 6 }],
];
const MERGED: [string, MethodOptions][] = [
  ['DoRA', { type: 'dora', rank: 2, alpha: 4, use_rslora: false }],
  ['OFT', { type: 'oft', block_size: 8 }],
  ['PiSSA', { type: 'pissa', rank: 2, alpha: 4, use_rslora: false }],
  ['HiRA', { type: 'hira', rank: 2 }],
];

/** How far variables are moved so that the answer is another. */
const STEPS: Record<string, number> = { hira: 2, oft: 0.2 };

let served: Served;
beforeAll(async () => {
  served = await openServed({ baseDir, baseName: 'tiny', adapters: [], rows: 3 });
});
afterAll(() => served.dispose());

const begin = (model: string, lambda = 1, tokens = TOKENS) =>
  served.begin(model, lambda, prompt, { maxNewTokens: tokens });
const idsOf = async (model: string, lambda = 1): Promise<number[]> => (await begin(model, lambda).completion).ids;

/** By the end of an answer the model before a new kind, which had no room for it, is closed. */
const settled = () => idsOf('tiny');

async function load(dir: string): Promise<string> {
  const id = await hashTrained(dir);
  await served.load({ id, dir });
  return id;
}

test.each([...ROWWISE, ...MERGED])(
  '%s is loaded while others answer, and answers as it does alone at every share',
  async (_name, options) => {
    const dir = writeAdapter(baseDir, options, 7, { by: STEPS[options.type] ?? 0.5 });
    const expected = oracle(dir);
    const [alone, half] = [oracle(null), oracle(dir, 0.5)];
    expect(expected).not.toEqual(alone);
    // An answer that is under way while a model with one group more is traced.
    const under = begin('tiny', 1, 40);
    const id = await load(dir);
    const [full, at, none, without] = await Promise.all([idsOf(id), idsOf(id, 0.5), idsOf(id, 0), under.completion]);
    expect(full).toEqual(expected);
    expect(at).toEqual(half);
    expect(none).toEqual(alone);
    expect(without.ids.slice(0, TOKENS)).toEqual(alone);
    expect(without.ids).toHaveLength(40);
  },
);

test('a whole model of the base’s shapes answers with its own weights', async () => {
  const dir = writeWhole(baseDir, 3);
  const id = await load(dir);
  expect(await idsOf(id)).toEqual(oracle(null, 1, loadBase(dir)));
});

describe('what is loaded', () => {
  test('is known by the hash of its files, and said with its place', async () => {
    const dir = writeAdapter(baseDir, lora(2), 21);
    const id = await load(dir);
    await idsOf(id);
    served.pin(id, true);
    const size = [...readAdapter(dir, base.config).variables.values()].reduce((sum, { data }) => sum + data.length, 0);
    // In rows it has rank 8.
    expect(served.resident()).toContainEqual({ id, kind: 'slot', pinned: true, bytes: 4 * 4 * size });
    served.pin(id, false);
    await expect(served.load({ id: 'f'.repeat(64), dir })).rejects.toMatchObject({
      code: 'invalid_value',
      param: 'id',
    });
    expect(() => begin('f'.repeat(64))).toThrow('There is no model');
    await served.unload(id);
    expect(() => begin(id)).toThrow('There is no model');
    await expect(served.unload(id)).rejects.toMatchObject({ code: 'not_found' });
  });

  test.each([
    ['factor', { alpha: 7 }, undefined],
    ['rank', { rank: 7 }, undefined],
    ['layers', { rank: 5 }, ['down_proj', 'k_proj']],
  ])(
    'has its place in rows with those that differ in their %s, for which nothing is traced',
    async (_, own, targets) => {
      await load(writeAdapter(baseDir, lora(2), 25));
      await settled();
      const before = served.memoryBytes();
      const dir = writeAdapter(baseDir, { ...lora(2), ...own } as MethodOptions, 26, {
        by: 0.5,
        ...(targets && { targets }),
      });
      const id = await load(dir);
      const bytes = served.resident().find((each) => each.id === id)?.bytes ?? 0;
      // Its own variables, and no room for one more kind in the rows.
      expect(served.memoryBytes() - before).toBe(bytes);
      expect(await idsOf(id)).toEqual(oracle(dir));
      expect(await idsOf(id, 0.5)).toEqual(oracle(dir, 0.5));
    },
  );

  test('has a rank for each layer, and answers in rows', async () => {
    const dir = writeAdapter(baseDir, lora(4), 28, { by: 0.5 });
    const [config, weights] = ['adapter_config.json', 'adapter_model.safetensors'].map((name) => join(dir, name)) as [
      string,
      string,
    ];
    const { tensors } = readSafetensors(weights);
    const first = ([name]: [string, unknown]) => name.includes('.0.mlp.up_proj.');
    // The first two of the layer's ranks.
    for (const [name, { shape, data }] of [...tensors].filter(first)) {
      const [rows = 0, columns = 0] = shape;
      const isA = name.includes('lora_A');
      const kept = Float32Array.from(data as Float32Array).filter((_, i) => (isA ? i < 2 * columns : i % columns < 2));
      tensors.set(name, { dtype: 'F32', shape: isA ? [2, columns] : [rows, 2], data: kept });
    }
    writeSafetensors(
      weights,
      new Map(
        [...tensors].map(([name, tensor]) => [
          name,
          { ...tensor, dtype: 'F32' as const, data: tensor.data as Float32Array },
        ]),
      ),
    );
    writeFileSync(
      config,
      JSON.stringify({ ...JSON.parse(readFileSync(config, 'utf8')), rank_pattern: { 'layers.0.mlp.up_proj': 2 } }),
    );
    const id = await load(dir);
    expect(await idsOf(id)).toEqual(oracle(dir));
    expect(served.resident().find((each) => each.id === id)?.kind).toBe('slot');
  });

  test('is refused alone when its files are damaged or belong to another base', async () => {
    const count = served.resident().length;
    const short = writeAdapter(baseDir, lora(2), 22);
    truncateSync(join(short, 'adapter_model.safetensors'), 2_000);
    await expect(load(short)).rejects.toMatchObject({ code: 'unsupported_format' });
    const other = writeAdapter(baseDir, lora(2), 23);
    const file = join(other, 'adapter_model.safetensors');
    const { tensors } = readSafetensors(file);
    const [name = ''] = tensors.keys();
    writeSafetensors(
      file,
      new Map([...tensors, [name, { shape: [2, 7], dtype: 'F32' as const, data: new Float32Array(14) }]]),
    );
    await expect(load(other)).rejects.toMatchObject({ code: 'invalid_value' });
    expect(served.resident()).toHaveLength(count);
    expect(await idsOf('tiny')).toEqual(oracle(null));
  });

  test('answers to the end with what it began with when it is unloaded', async () => {
    const dir = writeAdapter(baseDir, lora(2), 24);
    const id = await load(dir);
    const under = begin(id, 1, 20);
    const gone = served.unload(id);
    expect(() => begin(id)).toThrow('There is no model');
    const { ids } = await under.completion;
    expect(ids).toHaveLength(20);
    expect(ids.slice(0, TOKENS)).toEqual(oracle(dir));
    await gone;
  });

  test('is loaded once, however many ask for it at the same time', async () => {
    const dir = writeAdapter(baseDir, lora(2), 25);
    // The base has room for its kind from here on.
    const id = await load(dir);
    await served.unload(id);
    await settled();
    const before = served.memoryBytes();
    await Promise.all([served.load({ id, dir }), served.load({ id, dir })]);
    const bytes = served.resident().find((one) => one.id === id)?.bytes ?? 0;
    expect(bytes).toBeGreaterThan(0);
    expect(served.memoryBytes() - before).toBe(bytes);
    await served.unload(id);
    expect(served.memoryBytes()).toBe(before);
  });

  test('answers when it is loaded again while its last answers are under way', async () => {
    const dir = writeAdapter(baseDir, lora(2), 26);
    const id = await load(dir);
    // Every row is taken, one by it: what begins after it was loaded again waits, and is written into rows after the first has ended.
    const under = [id, 'tiny', 'tiny'].map((model) => begin(model, 1, 80));
    const gone = served.unload(id);
    await served.load({ id, dir });
    const waiting = Array.from({ length: 4 }, () => begin(id));
    await Promise.all(under.map(({ completion }) => completion));
    for (const { completion } of waiting) expect((await completion).ids).toEqual(oracle(dir));
    await gone;
    expect(served.resident()).toContainEqual(expect.objectContaining({ id, pinned: false }));
    await served.unload(id);
  });
});

describe('memory', () => {
  test('of many shares of an adapter those are forgotten that nobody answers at', async () => {
    const parts = { config: base.config, mode: 'plain' as const, plan: servingPlan(1, 32) };
    const budget = createBudget(1e12);
    const main = await openBaseModel(parts, base, [], budget);
    const residents = createResidents(parts, base, main, budget);
    const dir = writeAdapter(baseDir, lora(2), 27);
    const id = await hashTrained(dir);
    await residents.load({ id, dir });
    const kept = residents.take(id, 0.5);
    const { adapter } = await kept.place;
    for (let i = 1; i <= 200; i++) {
      const { place, release } = residents.take(id, i / 1_000);
      await place;
      release();
    }
    const names = main.current()?.model.adapters.names() ?? [];
    expect(names).toContain(adapter);
    expect(names.length).toBeLessThanOrEqual(64);
    kept.release();
    main.dispose();
  });

  test('is kept within its limit: what was unused the longest goes to the disk, what is pinned stays, and all answer', async () => {
    const dirs = [1, 2, 3, 4].map((seed) => writeAdapter(baseDir, MERGED[0]?.[1] as MethodOptions, seed));
    const open = await openServed({ baseDir, baseName: 'tiny', adapters: [], rows: 1 });
    const fixed = open.memoryBytes();
    open.dispose();
    // What nobody limited has a limit all the same: callers may ask for ever more shares.
    const unlimited = { baseDir, baseName: 'tiny', adapters: [], rows: 10_000_000, contextMax: 32 };
    await expect(openServed(unlimited)).rejects.toMatchObject({ code: 'invalid_value' });
    // The base, and merged models of it; all are of one size.
    const limit = 3.5 * fixed;
    const small = await openServed({ baseDir, baseName: 'tiny', adapters: [], rows: 1, memoryBytes: limit });
    const ids: string[] = [];
    for (const dir of dirs) {
      const id = await hashTrained(dir);
      await small.load({ id, dir, pinned: ids.length === 0 });
      ids.push(id);
      expect(small.memoryBytes()).toBeLessThanOrEqual(limit);
    }
    const kinds = () => small.resident().map(({ kind }) => kind);
    expect(kinds()).toEqual(['merged', 'disk', 'disk', 'merged']);
    for (const [i, id] of ids.entries()) {
      const answer = small.begin(id, 1, prompt, { maxNewTokens: TOKENS });
      expect((await answer.completion).ids).toEqual(oracle(dirs[i] ?? null));
      expect(small.memoryBytes()).toBeLessThanOrEqual(limit);
    }
    expect(kinds()).toEqual(['merged', 'disk', 'disk', 'merged']);
    // What is pinned is the adapter as it was trained, not each share of it.
    for (const lambda of [0.25, 0.5, 0.75])
      await small.begin(ids[0] ?? '', lambda, prompt, { maxNewTokens: 1 }).completion;
    await small.begin(ids[3] ?? '', 1, prompt, { maxNewTokens: 1 }).completion;
    expect(kinds()).toEqual(['merged', 'disk', 'disk', 'merged']);
    // What was pinned may go now, but not while it answers.
    small.pin(ids[0] ?? '', false);
    const both = [0, 3].map((i) => small.begin(ids[i] ?? '', 1, prompt, { maxNewTokens: 30 }));
    const third = small.begin(ids[1] ?? '', 1, prompt, { maxNewTokens: 1 });
    await expect(third.completion).rejects.toMatchObject({ code: 'unavailable' });
    for (const { completion } of both) expect((await completion).ids).toHaveLength(30);
    await small.begin(ids[1] ?? '', 1, prompt, { maxNewTokens: 1 }).completion;
    // Files that are not what they were are not answered with.
    rmSync(join(dirs[0] ?? '', 'adapter_model.safetensors'));
    await expect(small.begin(ids[0] ?? '', 1, prompt, { maxNewTokens: 1 }).completion).rejects.toThrow('hash');
    // A load wins over an unload that comes while it brings what is on the disk, and ends it.
    const [id = '', dir = ''] = [ids[2], dirs[2]];
    await Promise.all([small.load({ id, dir, pinned: true }), small.unload(id)]);
    expect(small.resident()).toContainEqual(expect.objectContaining({ id, kind: 'merged', pinned: true }));
    small.dispose();
    await expect(
      openServed({ baseDir, baseName: 'tiny', adapters: [], rows: 1, memoryBytes: fixed - 1 }),
    ).rejects.toMatchObject({ code: 'invalid_value', param: 'memoryBytes' });
  });

  test('without room for two models, one more kind of adapter waits for the answers under way', async () => {
    const dir = writeAdapter(baseDir, lora(2), 31);
    const id = await hashTrained(dir);
    const free = await openServed({ baseDir, baseName: 'tiny', adapters: [{ name: 'a', dir }], rows: 1 });
    const limit = free.memoryBytes();
    free.dispose();
    const small = await openServed({ baseDir, baseName: 'tiny', adapters: [], rows: 1, memoryBytes: limit });
    const under = small.begin('tiny', 1, prompt, { maxNewTokens: 20 });
    const loading = small.load({ id, dir });
    expect((await under.completion).ids.slice(0, TOKENS)).toEqual(oracle(null));
    const waiting = small.begin('tiny', 1, prompt, { maxNewTokens: TOKENS });
    await loading;
    expect((await waiting.completion).ids).toEqual(oracle(null));
    expect((await small.begin(id, 1, prompt, { maxNewTokens: TOKENS }).completion).ids).toEqual(oracle(dir));
    small.dispose();
  });
});
