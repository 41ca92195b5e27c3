import { loadTf, type NumericMode, type Session } from '@moraine/engine';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { adapterShapes } from '../src/adapter.js';
import {
  type Adapter,
  type BeginOptions,
  type Completion,
  createGenerator,
  createMethod,
  createNet,
  forward,
  type GenerationPlan,
  type Generator,
  type ModelConfig,
  rowVariables,
  toDevice,
} from '../src/index.js';
import { createRandom, normal } from '../src/random.js';
import { type Generating, generating } from './generation-setup.js';
import { gemmaConfig, idsOf, olmoConfig, smolConfig, tinyConfig } from './tiny.js';

// Prompts in chunks and what is held of earlier ones, beside full passes over the whole row for every token (src/model.ts, no cache).

const tf = loadTf();
const plan: GenerationPlan = { batches: [1, 3], prefillTimes: [4, 8], spans: [16, 32], contextMax: 32 };
const lora: Adapter = {
  method: createMethod({ type: 'lora', rank: 2, alpha: 4, use_rslora: false }),
  paths: ['model.layers.0.self_attn.k_proj', 'model.layers.1.mlp.down_proj'],
  dropout: 0,
};

interface Watched extends Generating {
  /** Names of the passes so far. */
  passes: string[];
  oracle(prompt: readonly number[], count: number): number[];
}

async function watched(config: ModelConfig, mode: NumericMode, groups: Adapter[] = [], over = plan): Promise<Watched> {
  const made = await generating(config, mode, { plan: over, groups });
  const passes: string[] = [];
  const session: Session = {
    ...made.session,
    run: (name, feeds, wanted) => {
      passes.push(name);
      return made.session.run(name, feeds, wanted);
    },
  };
  const net = createNet({ weights: new Map([...made.values].map(([name, value]) => [name, toDevice(value)])) });
  const next = (ids: readonly number[]): number =>
    tf.tidy(() => {
      const all = forward(net, config, { ids: tf.tensor2d([...ids], [1, ids.length], 'int32') });
      return tf.argMax(tf.slice(all, [ids.length - 1, 0], [1, config.vocabSize]), 1).dataSync()[0] ?? -1;
    });
  return {
    ...made,
    passes,
    generator: createGenerator(session, config, over, made.adapters),
    oracle(prompt, count) {
      const ids = [...prompt];
      while (ids.length < prompt.length + count) ids.push(next(ids));
      return ids.slice(prompt.length);
    },
  };
}

const answer = (generator: Generator, prompt: readonly number[], options: Partial<BeginOptions> = {}) =>
  generator.begin(prompt, { maxNewTokens: 5, ...options }).completion;

let tenants = 0;
/** The answer that nothing is held for. */
const anew = (generator: Generator, prompt: readonly number[], options: Partial<BeginOptions> = {}) =>
  answer(generator, prompt, { ...options, tenant: `new${tenants++}` });

function expectAlike(a: Completion, b: Completion): void {
  expect(a.ids).toEqual(b.ids);
  for (const [i, logprob] of b.logprobs.entries()) expect(Math.abs((a.logprobs[i] ?? 9) - logprob)).toBeLessThan(1e-5);
}

const kinds: [string, NumericMode, ModelConfig][] = [
  ['grouped queries, traced', 'plain', tinyConfig],
  ['grouped queries', 'eager', tinyConfig],
  ['windows, norms and scales of Gemma 3, traced', 'plain', gemmaConfig],
  ['layers of SmolLM3 without rotation, with a window', 'eager', smolConfig],
  ['norms of OLMo 2', 'eager', olmoConfig],
];

describe.each(kinds)('%s', (_name, mode, config) => {
  let model: Watched;
  beforeAll(async () => {
    model = await watched(config, mode);
  });
  afterAll(() => model.session.dispose());

  test('a prompt of any length that leaves room for a token is answered as a full pass answers it', async () => {
    for (const length of [3, 8, 17, 31]) {
      const prompt = idsOf(length, length);
      const count = Math.min(5, plan.contextMax - length);
      expect((await anew(model.generator, prompt)).ids).toEqual(model.oracle(prompt, count));
    }
  });

  test('a prompt that continues an earlier one and its answer is read from there on, and answered alike', async () => {
    const { generator, passes, oracle } = model;
    const first = idsOf(5, 14);
    const said = (await answer(generator, first)).ids;
    const second = [...first, ...said, ...idsOf(6, 5)];
    passes.length = 0;
    const held = await answer(generator, second);
    // All but the last token of the answer, which nothing was asked after.
    expect(held.cached).toBe(first.length + said.length - 1);
    expect(passes.filter((pass) => !pass.startsWith('decode'))).toEqual(['extend/8/32']);
    expectAlike(held, await anew(generator, second));
    expect(held.ids).toEqual(oracle(second, 5));
    expect((await answer(generator, second)).cached).toBe(second.length - 1);
    // One that only begins alike, within the first.
    const other = [...first.slice(0, 10), ...idsOf(8, 9)];
    const branched = await answer(generator, other);
    expect(branched.cached).toBe(10);
    expectAlike(branched, await anew(generator, other));
  });
});

describe('beside others', () => {
  let model: Watched;
  beforeAll(async () => {
    model = await watched(tinyConfig, 'eager', [lora]);
  });
  afterAll(() => model.session.dispose());

  /** Passes from when a stream has said three tokens, and `begin` is called, to its end. */
  async function beside(begin: () => Promise<unknown>[]): Promise<string[]> {
    const { generator, passes } = model;
    let begun: Promise<unknown>[] = [];
    await anew(generator, idsOf(1, 3), {
      maxNewTokens: 14,
      onToken: ({ ids }) => {
        if (ids.length !== 3) return;
        passes.length = 0;
        begun = begin();
      },
    });
    const during = [...passes];
    await Promise.all(begun);
    return during;
  }

  test('a long prompt is read a chunk between two tokens of a stream', async () => {
    const during = await beside(() => [anew(model.generator, idsOf(2, 30), { maxNewTokens: 1 })]);
    expect(during.slice(0, 8)).toEqual([
      ...['extend/8/16', 'decode/1/16', 'extend/8/16', 'decode/1/16'],
      ...['extend/8/32', 'decode/1/16', 'extend/8/32', 'decode/1/16'],
    ]);
  });

  test('prompts that come together are read by turns, and no more at a time than one chunk', async () => {
    const order: string[] = [];
    const during = await beside(() =>
      [idsOf(3, 24), idsOf(4, 8)].map((prompt) =>
        anew(model.generator, prompt, { maxNewTokens: 1 }).then(() => order.push(`${prompt.length}`)),
      ),
    );
    const reads = during.flatMap((pass, i) => (pass.startsWith('decode') ? [] : [i]));
    expect(reads.map((i) => during[i])).toEqual(['extend/8/16', 'extend/8/16', 'extend/8/16', 'extend/8/32']);
    expect(reads.every((at, i) => i === 0 || at - (reads[i - 1] ?? 0) === 2)).toBe(true);
    expect(order).toEqual(['8', '24']);
  });

  test.each([
    [60_000, ['extend/8/16', 'extend/8/16', 'decode/3/16', 'decode/3/16']],
    [0, ['extend/8/16', 'decode/3/16', 'extend/8/16', 'decode/3/16']],
  ])('beside a stream prompts are read for %i ms, or one of them', async (readMs, expected) => {
    const { generator, passes, session } = await watched(tinyConfig, 'eager', [], { ...plan, readMs });
    const begun: Promise<unknown>[] = [];
    let during: string[] = [];
    const onToken = ({ ids }: { ids: readonly number[] }): void => {
      if (ids.length === 2) {
        passes.length = 0;
        begun.push(...[7, 8].map((seed) => anew(generator, idsOf(seed, 8))));
      }
      if (ids.length === 4) during = passes.slice(0, 4);
    };
    await anew(generator, idsOf(6, 4), { maxNewTokens: 6, onToken });
    await Promise.all(begun);
    expect(during).toEqual(expected);
    session.dispose();
  });

  test('so are those that begin like it, each after what it shares was copied', async () => {
    const { generator, passes, session } = await watched(tinyConfig, 'eager', [], { ...plan, readMs: 60_000 });
    const begun: Promise<unknown>[] = [];
    let during: string[] = [];
    const shared = idsOf(6, 8);
    const onToken = ({ ids }: { ids: readonly number[] }): void => {
      if (ids.length === 2) {
        passes.length = 0;
        begun.push(...[7, 8].map((seed) => answer(generator, [...shared, ...idsOf(seed, 3)])));
      }
      if (ids.length === 4) during = passes.slice(0, 5);
    };
    await answer(generator, shared, { maxNewTokens: 6, onToken });
    await Promise.all(begun);
    expect(during).toEqual(['rows/copy/16', 'extend/4/16', 'rows/copy/16', 'extend/4/16', 'decode/3/16']);
    session.dispose();
  });

  test('a prompt of which only the last token is left goes on with the next step, and is answered alike', async () => {
    const { generator, passes } = model;
    const [prompt, nine] = [idsOf(12, 8), idsOf(13, 9)];
    const tenant = 'last';
    const before = await answer(generator, prompt, { tenant });
    passes.length = 0;
    const again = await answer(generator, prompt, { tenant });
    expect(passes).toEqual(new Array(5).fill('decode/1/16'));
    expect(again.cached).toBe(7);
    expectAlike(again, before);
    passes.length = 0;
    const chunked = await anew(generator, nine);
    expect(passes).toEqual(['extend/8/16', ...new Array(5).fill('decode/1/16')]);
    expect(chunked.ids).toEqual(model.oracle(nine, 5));
    passes.length = 0;
    expect((await anew(generator, [7], { maxNewTokens: 3 })).ids).toEqual(model.oracle([7], 3));
    expect(passes).toEqual(new Array(3).fill('decode/1/16'));
  });

  test('prompts that come together, some of them held, are all read before the first step', async () => {
    const { generator, passes, session } = await watched(tinyConfig, 'eager', [], { ...plan, readMs: 60_000 });
    const held = idsOf(14, 8);
    await answer(generator, held);
    passes.length = 0;
    const prompts = [[...held, ...idsOf(15, 3)], idsOf(16, 8), idsOf(17, 7)];
    await Promise.all(prompts.map((prompt) => answer(generator, prompt, { maxNewTokens: 2 })));
    expect(passes).toEqual(['prefill/3x8', 'extend/4/16', 'decode/3/16']);
    session.dispose();
  });

  test('of prompts that come together the most of one length come first, and once they stream the others are read one by one', async () => {
    const four = { ...plan, batches: [1, 4], readMs: 60_000 };
    const { generator, passes, session } = await watched(tinyConfig, 'eager', [], four);
    const prompts = [3, 8, 8, 7].map((length, i) => idsOf(20 + i, length));
    await Promise.all(prompts.map((prompt) => answer(generator, prompt, { maxNewTokens: 2 })));
    expect(passes).toEqual(['prefill/4x8', 'extend/4/16', 'decode/4/16']);
    passes.length = 0;
    const pairs = [3, 3, 8, 8].map((length, i) => anew(generator, idsOf(30 + i, length), { maxNewTokens: 2 }));
    await Promise.all(pairs);
    expect(passes).toEqual(['prefill/4x4', 'extend/8/16', 'extend/8/16', 'decode/4/16']);
    session.dispose();
  });

  test('with nobody to wait, prompts of one length are read together', async () => {
    const { generator, passes } = model;
    passes.length = 0;
    await Promise.all([7, 8, 9].map((seed) => anew(generator, idsOf(seed, 8), { maxNewTokens: 1 })));
    expect(passes).toEqual(['prefill/3x8']);
  });
});

describe('what is held', () => {
  let model: Watched;
  beforeAll(async () => {
    model = await watched(tinyConfig, 'eager', [lora]);
    for (const [i, name] of ['a', 'b'].entries()) model.adapters.load(name, 0, variables(i));
  });
  afterAll(() => model.session.dispose());

  const prompt = idsOf(11, 20);

  function variables(seed: number) {
    const random = createRandom(seed + 1);
    const values = [...adapterShapes(tinyConfig, lora)].map(([name, shape]) => {
      const count = shape.reduce((a, b) => a * b, 1);
      return [name, { shape, data: normal(random, count, 0.5) }] as const;
    });
    return rowVariables(lora, new Map(values));
  }

  test('is used for nobody of another tenant', async () => {
    const { generator } = model;
    await answer(generator, prompt, { tenant: 'one' });
    expect((await answer(generator, prompt, { tenant: 'two' })).cached).toBe(0);
    expect((await answer(generator, prompt, { tenant: 'one' })).cached).toBe(19);
    expect((await answer(generator, prompt, { tenant: 'two' })).cached).toBe(19);
  });

  test('is used for no other adapter, nor for one that was loaded in its name since', async () => {
    const { generator, adapters } = model;
    const tenant = 'adapters';
    const said = [];
    for (const adapter of [null, 'a', 'b', 'a']) said.push(await answer(generator, prompt, { tenant, adapter }));
    expect(said.map(({ cached }) => cached)).toEqual([0, 0, 0, 19]);
    expect(new Set(said.map(({ ids }) => ids.join())).size).toBe(3);
    adapters.unload('a');
    adapters.load('a', 0, variables(7));
    const changed = await answer(generator, prompt, { tenant, adapter: 'a' });
    expect(changed.cached).toBe(0);
    expectAlike(changed, await anew(generator, prompt, { adapter: 'a' }));
    expect(changed.ids).not.toEqual(said[1]?.ids);
  });

  test('is nothing where an adapter that gives no numbers had the row, though it was cancelled before it was read', async () => {
    const four = { ...plan, batches: [1, 4] };
    const { generator, adapters, session } = await watched(tinyConfig, 'eager', [lora], four);
    const broken = [...variables(3)].map(
      ([name, { shape, data }]) => [name, { shape, data: data.map(() => Number.NaN) }] as const,
    );
    adapters.load('broken', 0, new Map(broken));
    adapters.load('sound', 0, variables(3));
    const [first, second] = [idsOf(40, 8), idsOf(41, 8)];
    const begun: ReturnType<Generator['begin']>[] = [];
    const onToken = ({ ids }: { ids: readonly number[] }): void => {
      // The first of the two is read, the second has its row only, and steps of all rows compute it.
      if (ids.length === 2)
        for (const [i, adapter] of [null, 'broken'].entries())
          begun.push(generator.begin(idsOf(42 + i, 24), { maxNewTokens: 1, tenant: `x${i}`, adapter }));
      if (ids.length === 3) begun[1]?.cancel();
    };
    await Promise.all([
      answer(generator, first, { maxNewTokens: 12, onToken, adapter: 'sound' }),
      answer(generator, second, { maxNewTokens: 12 }),
    ]);
    await Promise.all(begun.map(({ completion }) => completion));
    const long = idsOf(44, 24);
    const all = await Promise.all([1, 2, 3, 4].map(() => anew(generator, long, { maxNewTokens: 2 })));
    expect(new Set(all.map(({ ids }) => ids.join())).size).toBe(1);
    session.dispose();
  });

  test('is lost in the order of last use', async () => {
    const { generator } = model;
    const tenant = 'order';
    const asked = async (...seeds: number[]) => {
      const cached: number[] = [];
      for (const seed of seeds) cached.push((await answer(generator, idsOf(seed, 12), { tenant })).cached);
      return cached;
    };
    expect(await asked(21, 22, 23)).toEqual([0, 0, 0]);
    expect(await asked(22, 21, 23)).toEqual([11, 11, 11]);
    expect(await asked(24)).toEqual([0]);
    expect(await asked(21, 23, 22)).toEqual([11, 11, 0]);
  });

  test('is used by none that reads its prompt whole, whose scores are the same to the bit whatever was asked before', async () => {
    const { generator } = model;
    const tenant = 'whole';
    const whole = () => answer(generator, prompt, { tenant, readsWhole: true, logprobs: 1 });
    const first = await whole();
    await Promise.all([41, 42].map((seed) => answer(generator, idsOf(seed, 12), { tenant })));
    expect((await answer(generator, prompt, { tenant })).cached).toBe(19);
    const again = await whole();
    expect([again.cached, again.logprobs]).toEqual([0, first.logprobs]);
  });

  test('is copied from a row that still answers', async () => {
    const { generator } = model;
    const tenant = 'shared';
    let second: Promise<Completion> | undefined;
    const longer = [...prompt, 3, 4, 5];
    await answer(generator, prompt, {
      tenant,
      maxNewTokens: 9,
      onToken: ({ ids }) => {
        if (ids.length === 2) second = answer(generator, longer, { tenant });
      },
    });
    const held = await second;
    expect(held?.cached).toBe(20);
    expect(held?.ids).toEqual(model.oracle(longer, 5));
  });

  test('stays as it is while others decode beside it, and what is cancelled half way is held as far as it was read', async () => {
    const { generator, passes } = model;
    const tenant = 'beside';
    await answer(generator, prompt, { tenant });
    // In the batch of three, of which one row answers nobody.
    await Promise.all([31, 32].map((seed) => anew(generator, idsOf(seed, 6), { maxNewTokens: 9 })));
    const held = await answer(generator, prompt, { tenant });
    expect(held.cached).toBe(19);
    expect(held.ids).toEqual(model.oracle(prompt, 5));
    const long = idsOf(33, 30);
    passes.length = 0;
    const cancelled = generator.begin(long, { tenant, maxNewTokens: 2 });
    while (passes.length < 2) await new Promise(setImmediate);
    cancelled.cancel();
    await cancelled.completion;
    const again = await answer(generator, long, { tenant });
    expect([16, 24]).toContain(again.cached);
    expect(again.ids).toEqual(model.oracle(long, 2));
  });

  test('of any mixture of prompts, tenants and ends, every answer is that of full passes', async () => {
    const { generator, oracle } = model;
    const random = createRandom(4);
    const draw = (below: number) => Math.floor(random() * below);
    const known = new Map<string, number[]>();
    const right = (ids: readonly number[]) => {
      const key = ids.join();
      const found = known.get(key) ?? oracle(ids, 4);
      known.set(key, found);
      return found;
    };
    let cached = 0;
    const one = async (): Promise<void> => {
      const [root, cut, more] = [draw(3), 4 + draw(16), draw(8)];
      const ids = [...idsOf(40 + root, 20).slice(0, cut), ...idsOf(50 + draw(2), 8).slice(0, more)];
      const begun = generator.begin(ids, { maxNewTokens: 1 + draw(4), tenant: `mix${draw(2)}` });
      if (draw(5) === 0) setImmediate(() => begun.cancel());
      const said = await begun.completion;
      cached += said.cached;
      expect(said.ids).toEqual(right(ids).slice(0, said.ids.length));
    };
    for (let round = 0; round < 8; round++) await Promise.all(Array.from({ length: 5 }, one));
    expect(cached).toBeGreaterThan(40);
  });
});

test.each([
  ['chunks', { ...plan, batches: [1] }],
  ['whole prompts', { batches: [1], prefillTimes: [24], contextMax: 32 }],
])('scores that are no numbers leave nothing behind for the next prompt of their row: %s', async (_, over) => {
  const { generator, adapters, session, oracle } = await watched(tinyConfig, 'eager', [lora], over);
  const shapes = [...adapterShapes(tinyConfig, lora)];
  const values = shapes.map(([name, shape]) => {
    const data = new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(Number.NaN);
    return [name, { shape, data }] as const;
  });
  adapters.load('bad', 0, new Map(values));
  await expect(answer(generator, idsOf(1, 20), { adapter: 'bad' })).rejects.toMatchObject({ code: 'nan_loss' });
  const prompt = idsOf(2, 6);
  expect((await answer(generator, prompt)).ids).toEqual(oracle(prompt, 5));
  session.dispose();
});
