import { loadTf } from '@moraine/engine';
import { expect, test } from 'vitest';
import { adapterShapes } from '../src/adapter.js';
import { type Adapter, adapterNet, createMethod, createNet, forward, type HostTensor, toDevice } from '../src/index.js';
import { createRandom, normal } from '../src/random.js';
import { generating, tinyPlan } from './generation-setup.js';
import { adapterRows } from './golden-set.js';
import { idsOf, tinyConfig } from './tiny.js';

const tf = loadTf();
const paths = ['model.layers.0.self_attn.q_proj', 'model.layers.1.mlp.down_proj'];
const prompt = idsOf(2, 7);

function randomVariables(adapter: Adapter, seed: number): Map<string, HostTensor> {
  const random = createRandom(seed);
  return new Map(
    [...adapterShapes(tinyConfig, adapter)].map(([name, shape]) => {
      const count = shape.reduce((a, b) => a * b, 1);
      return [name, { shape, data: normal(random, count, 0.5) }];
    }),
  );
}

/** The most likely tokens, each from a whole pass over those before. */
function greedy(net: ReturnType<typeof createNet>, count: number): number[] {
  const ids = [...prompt];
  for (let i = 0; i < count; i++) {
    const logits = tf.tidy(() => {
      const all = forward(net, tinyConfig, { ids: tf.tensor2d(ids, [1, ids.length], 'int32') });
      return [...tf.slice(all, [ids.length - 1, 0], [1, tinyConfig.vocabSize]).dataSync()];
    });
    ids.push(logits.indexOf(Math.max(...logits)));
  }
  return ids.slice(prompt.length);
}

const lora = (rank: number): Adapter => ({
  method: createMethod({ type: 'lora', rank, alpha: 2 * rank, use_rslora: false }),
  paths,
  dropout: 0,
});
const rowwise = adapterRows.filter((row) => createMethod(row).applyRows !== undefined);

// Rows of one batch with different adapters of two groups, and one without any.
test.each(rowwise.map((row) => [row.name, row] as const))(
  '%s: each row of a batch answers as its adapter beside the base does, one without as the base',
  async (_, row) => {
    const adapter: Adapter = { method: createMethod(row), paths, dropout: 0 };
    const groups = [
      { adapter, slots: 2 },
      { adapter: lora(2), slots: 1 },
    ];
    const plan = { ...tinyPlan, batches: [4], prefillTimes: [8], isGreedy: true };
    const { session, generator, slots, values } = await generating(tinyConfig, 'plain', { plan, groups });
    const weights = new Map([...values].map(([name, value]) => [name, toDevice(value)]));
    const expected: (number[] | undefined)[] = [greedy(createNet({ weights }), 6)];
    for (const [i, group] of [0, 0, 1].entries()) {
      const each = groups[group]?.adapter as Adapter;
      const variables = randomVariables(each, 3 + i);
      slots.load(`a${i}`, group, variables);
      const onDevice = new Map([...variables].map(([name, value]) => [name, toDevice(value)]));
      expected.push(greedy(adapterNet(tinyConfig, weights, each, onDevice), 6));
    }
    expect(new Set(expected.map(String)).size).toBe(4);
    const answers = [null, 'a0', 'a1', 'a2'].map((name) => generator.begin(prompt, { maxNewTokens: 6, adapter: name }));
    expect((await Promise.all(answers.map(({ completion }) => completion))).map(({ ids }) => ids)).toEqual(expected);
    session.dispose();
  },
);

test('LoRA and MoRA answer row by row, what needs the weight itself is refused', async () => {
  const names = rowwise.map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining(['lora', 'lora-rs', 'mora-1', 'mora-2', 'mora-3', 'mora-4', 'mora-6']));
  for (const name of ['dora', 'pissa', 'oft', 'relora', 'remora']) expect(names).not.toContain(name);
  const dora: Adapter = {
    method: createMethod({ type: 'dora', rank: 2, alpha: 4, use_rslora: false }),
    paths,
    dropout: 0,
  };
  await expect(generating(tinyConfig, 'plain', { groups: [{ adapter: dora, slots: 1 }] })).rejects.toThrow(
    expect.objectContaining({ hint: 'Merge the adapter into weights of its own.' }),
  );
});

test('an adapter that is taken out ends its own answers, and no others', async () => {
  const plan = { ...tinyPlan, batches: [2], prefillTimes: [8], isGreedy: true };
  const { session, generator, slots } = await generating(tinyConfig, 'plain', {
    plan,
    groups: [{ adapter: lora(2), slots: 2 }],
  });
  for (const name of ['stays', 'goes']) slots.load(name, 0, randomVariables(lora(2), name.length));
  const alone = (await generator.generate([prompt], { maxNewTokens: 8, adapter: 'stays' }))[0]?.ids;
  const stays = generator.begin(prompt, { maxNewTokens: 8, adapter: 'stays' });
  const goes = generator.begin(prompt, {
    maxNewTokens: 8,
    adapter: 'goes',
    onToken: ({ ids }) => ids.length === 3 && slots.unload('goes'),
  });
  await expect(goes.completion).rejects.toThrow("There is no adapter 'goes'");
  expect((await stays.completion).ids).toEqual(alone);
  expect(() => generator.begin(prompt, { maxNewTokens: 8, adapter: 'goes' })).toThrow("There is no adapter 'goes'");
  session.dispose();
});

test('an adapter that brings a module trained whole is refused by that module', async () => {
  const method = createMethod({ type: 'lora', rank: 2, alpha: 4, use_rslora: false });
  const adapter: Adapter = { method, paths, dropout: 0 };
  const plan = { ...tinyPlan, batches: [1], prefillTimes: [8], isGreedy: true };
  const { session, slots } = await generating(tinyConfig, 'plain', { plan, groups: [{ adapter, slots: 1 }] });
  const head = { shape: [tinyConfig.vocabSize, tinyConfig.hiddenSize], data: new Float32Array(1) };
  const variables = randomVariables(adapter, 3).set('lm_head.weight', head);
  expect(() => slots.load('a', 0, variables)).toThrow(
    expect.objectContaining({
      message: 'Adapter a brings its own lm_head.weight, trained whole (modules_to_save).',
      hint: expect.stringContaining('merged model'),
    }),
  );
  session.dispose();
});
