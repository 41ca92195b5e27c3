import { loadTf, type NumericMode } from '@moraine/engine';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { topIds } from '../src/generation/sampling.js';
import {
  type Adapter,
  adapterNet,
  createMethod,
  createModel,
  createNet,
  forward,
  initialAdapter,
  initialWeights,
  type ModelConfig,
  type Net,
  type PromptScores,
  rowVariables,
  toDevice,
  weightReader,
} from '../src/index.js';
import { createRandom, normal } from '../src/random.js';
import { type Generating, generating, tinyPlan } from './generation-setup.js';
import { gemmaConfig, idsOf, olmoConfig, phiConfig, smolConfig, tinyConfig } from './tiny.js';

/** The reference is a full pass over the whole row for every token, as training computes it (src/model.ts, no cache). */
const tf = loadTf();

function plainLogits(net: Net, config: ModelConfig, ids: readonly number[]): Float32Array {
  return tf.tidy(() => {
    const all = forward(net, config, { ids: tf.tensor2d([...ids], [1, ids.length], 'int32') });
    return Float32Array.from(tf.slice(all, [ids.length - 1, 0], [1, config.vocabSize]).dataSync());
  });
}

function plainGreedy(net: Net, config: ModelConfig, prompt: readonly number[], count: number): number[] {
  const ids = [...prompt];
  for (let i = 0; i < count; i++) {
    const logits = plainLogits(net, config, ids);
    ids.push(logits.indexOf(Math.max(...logits)));
  }
  return ids.slice(prompt.length);
}

const tensors = ({ values }: Generating) => new Map([...values].map(([name, value]) => [name, toDevice(value)]));
const open: Generating[] = [];
const made = new Map<string, Promise<Generating>>();

/** One session a kind of model and mode, for all tests. */
function tiny(mode: NumericMode, kind: keyof typeof configs = 'tied'): Promise<Generating> {
  const key = `${mode} ${kind}`;
  const found = made.get(key) ?? generating(configs[kind], mode);
  made.set(key, found);
  return found;
}

afterAll(async () => {
  for (const each of [...open, ...(await Promise.all(made.values()))]) each.session.dispose();
});

function expectScores(
  { logprobs, top }: PromptScores,
  net: Net,
  config: ModelConfig,
  prompt: readonly number[],
  listed: number,
): void {
  expect(logprobs).toHaveLength(prompt.length - 1);
  for (const [i, logprob] of logprobs.entries()) {
    const logits = plainLogits(net, config, prompt.slice(0, i + 1));
    const expected = tf.tidy(() => tf.logSoftmax(tf.tensor1d(logits)).dataSync());
    expect(Math.abs(logprob - (expected[prompt[i + 1] ?? -1] ?? 0))).toBeLessThan(1e-4);
    expect(top[i]?.map(({ id }) => id)).toEqual(topIds(logits, listed));
    for (const { id, logprob: other } of top[i] ?? []) expect(Math.abs(other - (expected[id] ?? 0))).toBeLessThan(1e-4);
  }
}

const configs = {
  tied: tinyConfig,
  untied: { ...tinyConfig, tieEmbeddings: false },
  'one key head': { ...tinyConfig, kvHeads: 1 },
  'a key head for each query head': { ...tinyConfig, kvHeads: 4 },
  'windows, norms and scales of Gemma 3': gemmaConfig,
  'layers of SmolLM3 without rotation, with a window': smolConfig,
  'norms of OLMo 2': olmoConfig,
  'matrices and rotation of Phi-3': phiConfig,
};

const prompts = [idsOf(1, 3), idsOf(2, 17), idsOf(3, 8)];

for (const mode of ['eager', 'plain'] as const) {
  describe(mode, () => {
    for (const kind of Object.keys(configs) as (keyof typeof configs)[]) {
      test(`prompts of different lengths are answered as full passes answer them: ${kind}`, async () => {
        const model = await tiny(mode, kind);
        const net = createNet({ weights: tensors(model) });
        const answers = await model.generator.generate(prompts, { maxNewTokens: 6 });
        const expected = prompts.map((prompt) => plainGreedy(net, configs[kind], prompt, 6));
        expect(answers.map(({ ids }) => ids)).toEqual(expected);
      });
    }

    test('every log-probability is that of a full pass to 1e-4, with the likeliest tokens or without', async () => {
      const model = await tiny(mode);
      const net = createNet({ weights: tensors(model) });
      const [short = [], long = []] = prompts;
      const [plain] = await model.generator.generate([long], { maxNewTokens: 5 });
      const [listed] = await model.generator.generate([long], { maxNewTokens: 5, logprobs: 4 });
      const all = await model.generator.generate([short, long], { maxNewTokens: 5, logprobs: 40 });
      expect(listed?.ids).toEqual(plain?.ids);
      for (const [i, id] of (plain?.ids ?? []).entries()) {
        const logits = plainLogits(net, tinyConfig, [...long, ...(plain?.ids ?? []).slice(0, i)]);
        const expected = tf.tidy(() => tf.logSoftmax(tf.tensor1d(logits)).dataSync());
        expect(plain?.logprobs[i]).toBeCloseTo(expected[id] ?? 0, 4);
        expect(listed?.logprobs[i]).toBeCloseTo(expected[id] ?? 0, 4);
        expect(listed?.top[i]?.map((each) => each.id)).toEqual(all[1]?.top[i]?.slice(0, 4).map((each) => each.id));
        for (const each of all[1]?.top[i] ?? [])
          expect(Math.abs(each.logprob - (expected[each.id] ?? 0))).toBeLessThan(1e-4);
      }
      expect(listed?.top[0]?.[0]).toEqual({ id: listed?.ids[0], logprob: listed?.logprobs[0] });
      expect(plain?.top).toEqual([[], [], [], [], []]);
    });

    test('the tokens of a prompt are scored as a full pass scores them, beside an answer under way', async () => {
      for (const [kind, config] of Object.entries(configs)) {
        const model = await tiny(mode, kind as keyof typeof configs);
        const answer = model.generator.begin(idsOf(4, 3), { maxNewTokens: 5 });
        const scores = await model.generator.score(idsOf(2, 17), { listed: 3 });
        expectScores(scores, createNet({ weights: tensors(model) }), config, idsOf(2, 17), 3);
        const alone = await model.generator.generate([idsOf(4, 3)], { maxNewTokens: 5 });
        expect((await answer.completion).ids).toEqual(alone[0]?.ids);
      }
    });

    test('more prompts than rows take turns, whatever their order and length', async () => {
      const { generator } = await tiny(mode);
      const many = Array.from({ length: 8 }, (_, i) => idsOf(i + 10, 1 + ((i * 5) % 20)));
      const options = { maxNewTokens: 7, stopIds: [3, 9, 20, 31] };
      const together = await generator.generate(many, options);
      const alone = [];
      for (const prompt of many) alone.push(...(await generator.generate([prompt], options)));
      expect(together.map(({ ids }) => ids)).toEqual(alone.map(({ ids }) => ids));
      expect(new Set(together.map(({ ids }) => ids.length)).size).toBeGreaterThan(1);
    });

    test('a row answers the same whatever stands beside it', async () => {
      const { generator } = await tiny(mode);
      const [first = [], second = []] = prompts;
      const options = { maxNewTokens: 6, temperature: 1, seed: 5 };
      const before = await generator.generate([first, second], options);
      const after = await generator.generate([idsOf(50, 9), second], options);
      const greedy = await generator.generate([first, second], { maxNewTokens: 6 });
      expect(after[1]?.ids).toEqual(before[1]?.ids);
      expect((await generator.generate([second, first], { maxNewTokens: 6 })).map(({ ids }) => ids)).toEqual(
        greedy.map(({ ids }) => ids).reverse(),
      );
    });

    test('adapters in one session answer each for itself, and without one the base answers', async () => {
      const paths = ['model.layers.0.self_attn.q_proj', 'model.layers.1.mlp.down_proj'];
      const lora = {
        method: createMethod({ type: 'lora', rank: 2, alpha: 4, use_rslora: false }),
        paths,
        dropout: 0,
      };
      const mora = { method: createMethod({ type: 'mora', rank: 2, mora_type: 6 }), paths: paths.slice(1), dropout: 0 };
      const model = await generating(tinyConfig, mode, { groups: [lora, mora] });
      open.push(model);
      const { generator, adapters } = model;
      const weights = tensors(model);
      const variables = (seed: number, adapter: Adapter) =>
        new Map(
          [...initialAdapter(tinyConfig, adapter, seed, weightReader(new Map()))].map(([name, { shape, data }]) => [
            name,
            { shape, data: normal(createRandom(seed), data.length, 0.5) },
          ]),
        );
      const resident = [
        { name: 'a', group: 0, kind: lora, values: variables(1, lora) },
        { name: 'b', group: 0, kind: lora, values: variables(2, lora) },
        { name: 'm', group: 1, kind: mora, values: variables(3, mora) },
      ];
      for (const { name, group, kind, values } of resident) adapters.load(name, group, rowVariables(kind, values));
      const answer = async (adapter: string | null) =>
        (await generator.generate(prompts, { maxNewTokens: 5, adapter })).map(({ ids }) => ids);
      const base = prompts.map((prompt) => plainGreedy(createNet({ weights }), tinyConfig, prompt, 5));
      const answers = new Set([JSON.stringify(base)]);
      for (const { name, kind, values } of resident) {
        const net = adapterNet(
          tinyConfig,
          weights,
          kind,
          new Map([...values].map(([key, value]) => [key, toDevice(value)])),
        );
        const expected = prompts.map((prompt) => plainGreedy(net, tinyConfig, prompt, 5));
        expect(await answer(name)).toEqual(expected);
        answers.add(JSON.stringify(expected));
      }
      expect(answers.size).toBe(4);
      expect(await answer(null)).toEqual(base);
      expect(() => adapters.load('a', 0, resident[2]?.values ?? new Map())).toThrow('has nothing as');
      const underWay = answer('a');
      await new Promise(setImmediate);
      adapters.unload('a');
      await expect(answer('a')).rejects.toMatchObject({ code: 'invalid_value' });
      adapters.load('a', 0, rowVariables(lora, resident[1]?.values ?? new Map()));
      expect(await underWay).not.toEqual(await answer('a'));
      expect(await answer('a')).toEqual(await answer('b'));
    });
  });
}

test('a model that was made with room for adapters answers with the one that a call names', async () => {
  const adapter = {
    method: createMethod({ type: 'lora', rank: 2, alpha: 4, use_rslora: false }),
    paths: ['model.layers.0.mlp.up_proj'],
    dropout: 0,
  };
  const model = await createModel({
    config: tinyConfig,
    weights: initialWeights(tinyConfig, { seed: 7, std: 0.2 }),
    mode: 'eager',
    generation: tinyPlan,
    adapterGroups: [adapter],
  });
  const values = [...initialAdapter(tinyConfig, adapter, 1, weightReader(new Map()))].map(
    ([name, { shape, data }]) => [name, { shape, data: normal(createRandom(4), data.length, 0.7) }] as const,
  );
  model.adapters.load('mine', 0, new Map(values));
  const answer = async (name: string | null) =>
    (await model.generator?.generate(prompts, { maxNewTokens: 5, adapter: name }))?.map(({ ids }) => ids);
  const base = (await (await tiny('eager')).generator.generate(prompts, { maxNewTokens: 5 })).map(({ ids }) => ids);
  expect(await answer(null)).toEqual(base);
  expect(await answer('mine')).not.toEqual(base);
  await expect(answer('other')).rejects.toThrow("There is no adapter 'other'");
  model.dispose();
});

test('an answer ends at a stop token, at its longest, or where the context is full', async () => {
  const { generator } = await tiny('eager');
  const [, long = []] = prompts;
  const [free] = await generator.generate([long], { maxNewTokens: 100 });
  expect(free).toMatchObject({ finishReason: 'length', text: null });
  expect(free?.ids.length).toBe(tinyPlan.contextMax - long.length);
  const at = (free?.ids ?? []).findIndex((id, i, ids) => i > 1 && ids.indexOf(id) === i);
  const [stopped] = await generator.generate([long], { maxNewTokens: 100, stopIds: [free?.ids[at] ?? 0] });
  expect(stopped).toMatchObject({ finishReason: 'stop', ids: free?.ids.slice(0, at) });
  expect(stopped?.logprobs.length).toBe(at);
  const [none] = await generator.generate([long], { maxNewTokens: 0 });
  expect(none).toMatchObject({ finishReason: 'length', ids: [] });
});

test('an answer ends at a stop string that lies across tokens, and its text before it', async () => {
  const { generator } = await tiny('eager');
  const [first = []] = prompts;
  const decode = (ids: readonly number[]) => ids.map((id) => `<${id}>`).join('');
  const [free] = await generator.generate([first], { maxNewTokens: 8, decode });
  const ids = free?.ids ?? [];
  expect(free?.text).toBe(decode(ids));
  const stop = `${ids[3]}><${ids[4]}`; // begins within token 3, ends within token 4
  const [cut] = await generator.generate([first], { maxNewTokens: 8, decode, stop: ['never', stop] });
  const text = decode(ids).slice(0, decode(ids).indexOf(stop));
  expect(cut).toMatchObject({ finishReason: 'stop', text });
  expect(decode(cut?.ids ?? []).startsWith(text)).toBe(true);
  expect(cut?.ids.length).toBeLessThanOrEqual(4);
  const [own] = await generator.generate([first], {
    maxNewTokens: 8,
    isStopped: ({ length }) => (length === 5 ? 2 : null),
  });
  expect(own).toMatchObject({ finishReason: 'stop', ids: ids.slice(0, 2) });
});

test('sampling repeats with its seed, differs with another, and is greedy where only one token is left to draw', async () => {
  const { generator } = await tiny('eager');
  const ids = async (options: object) =>
    (await generator.generate(prompts, { maxNewTokens: 6, ...options })).map((answer) => answer.ids);
  const greedy = await ids({});
  const drawn = await ids({ temperature: 1, seed: 1 });
  expect(await ids({ temperature: 1, seed: 1 })).toEqual(drawn);
  expect(await ids({ temperature: 1, seed: 2 })).not.toEqual(drawn);
  const [first = []] = prompts;
  const twice = await generator.generate([first, first], { maxNewTokens: 8, temperature: 1, seed: 1 });
  expect(twice[0]?.ids).not.toEqual(twice[1]?.ids);
  expect(await ids({ temperature: 1, topK: 1, seed: 1 })).toEqual(greedy);
  expect(await ids({ temperature: 1, topP: 1e-6, seed: 1 })).toEqual(greedy);
});

test('what cannot be answered is refused with the reason', async () => {
  const { generator } = await tiny('eager');
  const refusal = (rows: number[][], options = {}) => generator.generate(rows, { maxNewTokens: 1, ...options });
  await expect(refusal([[1], []])).rejects.toThrow('Prompt 1 is empty');
  await expect(refusal([idsOf(1, 25)])).rejects.toThrow('has 25 tokens, 24 fit');
  await expect(refusal([[1, 40]])).rejects.toThrow('holds the id 40');
  await expect(refusal([[1]], { temperature: -1 })).rejects.toThrow('temperature is -1');
  await expect(refusal([[1]], { topP: -0.1 })).rejects.toThrow('topP');
  await expect(refusal([[1]], { stop: ['x'] })).rejects.toThrow('decode');
  await expect(refusal([[1]], { adapter: 'x' })).rejects.toMatchObject({ code: 'invalid_value' });
  await expect(generating(tinyConfig, 'eager', { plan: { ...tinyPlan, contextMax: 65 } })).rejects.toThrow(
    'contextMax',
  );
});

test('scores that are not numbers end the answer with an error', async () => {
  const model = await generating(tinyConfig, 'eager');
  open.push(model);
  model.session.write(new Map([['model.norm.weight', { shape: [32], data: new Float32Array(32).fill(Number.NaN) }]]));
  await expect(model.generator.generate([[1, 2]], { maxNewTokens: 3 })).rejects.toMatchObject({ code: 'nan_loss' });
});

test('calls at the same time do not disturb each other, and other work gets its turn', async () => {
  const { generator } = await tiny('eager');
  const before = await generator.generate(prompts, { maxNewTokens: 6 });
  let ticks = 0;
  const timer = setInterval(() => {
    ticks += 1;
  }, 0);
  const both = await Promise.all([
    generator.generate(prompts, { maxNewTokens: 6 }),
    generator.generate([idsOf(60, 20)], { maxNewTokens: 12 }),
  ]);
  clearInterval(timer);
  for (const [i, { ids, logprobs }] of before.entries()) {
    expect(both[0]?.[i]?.ids).toEqual(ids);
    // Beside others a batch has another shape, and sums another order.
    for (const [t, logprob] of logprobs.entries()) expect(both[0]?.[i]?.logprobs[t]).toBeCloseTo(logprob, 5);
  }
  expect(ticks).toBeGreaterThan(5);
});

describe('answers that begin one by one', () => {
  test('each has its own options, whatever is answered beside it', async () => {
    const { generator } = await tiny('eager');
    const wanted = [
      { maxNewTokens: 5 },
      { maxNewTokens: 7, temperature: 1, seed: 3, stream: 2 },
      { maxNewTokens: 4, temperature: 0.7, topK: 5, seed: 4, logprobs: 2 },
      { maxNewTokens: 6, temperature: 1.3, topP: 0.8, seed: 3 },
    ];
    const alone = [];
    for (const [i, options] of wanted.entries())
      alone.push(await generator.begin(prompts[i % 3] ?? [], options).completion);
    const together = await Promise.all(
      wanted.map((options, i) => generator.begin(prompts[i % 3] ?? [], options).completion),
    );
    expect(together.map(({ ids }) => ids)).toEqual(alone.map(({ ids }) => ids));
    expect(together.map(({ ids }) => ids.length)).toEqual([5, 7, 4, 6]);
    expect(together[2]?.top[0]).toHaveLength(2);
    expect(together[0]?.top[0]).toEqual([]);
  });

  test('a long answer does not hold up one that comes later, and tokens are said as they come', async () => {
    const { generator } = await tiny('eager');
    const ended: string[] = [];
    const said: number[] = [];
    const long = generator.begin(prompts[0] ?? [], {
      maxNewTokens: 20,
      onToken: ({ ids }) => {
        said.push(ids.length);
        if (ids.length === 2)
          void generator.begin(prompts[2] ?? [], { maxNewTokens: 3 }).completion.then(() => ended.push('short'));
      },
    });
    await long.completion.then(() => ended.push('long'));
    expect(ended).toEqual(['short', 'long']);
    expect(said).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
  });

  test('one that is cancelled keeps what was said, and its row goes to the next prompt by the next step', async () => {
    const { generator } = await tiny('eager');
    const rows = prompts.map((prompt) => generator.begin(prompt, { maxNewTokens: 14 }));
    const steps: string[] = [];
    void rows[0]?.completion.then(() => steps.push('long'));
    const waits = generator.begin(prompts[1] ?? [], { maxNewTokens: 1, onToken: () => steps.push('next') });
    const cancelled = rows[1];
    const other = generator.begin(prompts[2] ?? [], { maxNewTokens: 1 });
    other.cancel();
    expect(await other.completion).toMatchObject({ ids: [], finishReason: 'cancelled' });
    await new Promise((wake) => setTimeout(wake, 20));
    cancelled?.cancel();
    const { ids, finishReason } = (await cancelled?.completion) ?? {};
    expect(finishReason).toBe('cancelled');
    expect(ids?.length).toBeLessThan(14);
    await waits.completion;
    expect((await rows[0]?.completion)?.ids).toHaveLength(14);
    expect(steps).toEqual(['next', 'long']);
  });

  test('what a listener throws ends its own answer, and no others', async () => {
    const { generator } = await tiny('eager');
    const bad = generator.begin(prompts[0] ?? [], {
      maxNewTokens: 5,
      onToken: () => {
        throw new Error('gone');
      },
    });
    const good = generator.begin(prompts[1] ?? [], { maxNewTokens: 5 });
    await expect(bad.completion).rejects.toThrow('gone');
    expect((await good.completion).ids).toHaveLength(5);
  });
});

describe('scores of prompts', () => {
  test('a long one is scored in pieces, and one that fills the context is taken', async () => {
    const plan = { batches: [1], prefillTimes: [300], contextMax: 300, scoreTimes: [300] };
    const config = { ...tinyConfig, maxPositions: 300 };
    const model = await generating(config, 'plain', { plan });
    open.push(model);
    const prompt = idsOf(6, 300);
    const { logprobs } = await model.generator.score(prompt, {});
    const net = createNet({ weights: tensors(model) });
    expect(logprobs).toHaveLength(299);
    for (const place of [0, 254, 255, 256, 257, 298]) {
      const expected = tf.tidy(() =>
        tf.logSoftmax(tf.tensor1d(plainLogits(net, config, prompt.slice(0, place + 1)))).dataSync(),
      );
      expect(Math.abs((logprobs[place] ?? 0) - (expected[prompt[place + 1] ?? -1] ?? 0))).toBeLessThan(1e-4);
    }
  });

  test('of many prompts one is read a turn, so that an answer goes on in between', async () => {
    const { generator, session } = await tiny('plain');
    const ran: string[] = [];
    const run = session.run.bind(session);
    const watching = vi.spyOn(session, 'run').mockImplementation((name, feeds) => {
      ran.push(name);
      return run(name, feeds);
    });
    const answer = generator.begin(idsOf(1, 4), { maxNewTokens: 20 });
    await Promise.all(Array.from({ length: 6 }, (_, i) => generator.score(idsOf(i, 8), {})));
    await answer.completion;
    watching.mockRestore();
    const kinds = ran.map((name) => (name.startsWith('score') ? 's' : name.startsWith('decode') ? 'd' : '-')).join('');
    expect(kinds.match(/s/g)).toHaveLength(12);
    // A step takes two turns.
    expect(kinds).not.toMatch(/s{3}/);
  });

  test('are refused for bad prompts, long lists, and under a plan without them', async () => {
    const { generator } = await tiny('plain');
    await expect(generator.score([], {})).rejects.toThrow('Prompt 0 is empty');
    await expect(generator.score([1], { adapter: 'none' })).rejects.toThrow("There is no adapter 'none'");
    await expect(generator.score([1], { listed: 21 })).rejects.toThrow('it is at most 20');
    const { scoreTimes: _none, ...plan } = tinyPlan;
    const without = await generating(tinyConfig, 'eager', { plan });
    open.push(without);
    await expect(without.generator.score([1], {})).rejects.toThrow('made without scores of prompts');
  });
});
