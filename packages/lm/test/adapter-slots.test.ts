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

// Beside a LoRA, so that its group is there while another answers.
test.each(adapterRows.map((row) => [row.name, row] as const))(
  '%s: a slot answers as the adapter beside the base does, an empty one as the base',
  async (_, row) => {
    const adapter: Adapter = { method: createMethod(row), paths, dropout: 0 };
    const lora: Adapter = {
      method: createMethod({ type: 'lora', rank: 2, alpha: 4, use_rslora: false }),
      paths,
      dropout: 0,
    };
    const groups = [adapter, lora].map((each) => ({ adapter: each, slots: 1 }));
    const plan = { ...tinyPlan, batches: [1], prefillTimes: [8], isGreedy: true };
    const { session, generator, slots, values } = await generating(tinyConfig, 'plain', { plan, groups });
    const weights = new Map([...values].map(([name, value]) => [name, toDevice(value)]));
    const answer = async (name: string | null) =>
      (await generator.generate([prompt], { maxNewTokens: 6, adapter: name }))[0]?.ids;
    const base = greedy(createNet({ weights }), 6);
    for (const [group, each] of [adapter, lora].entries()) {
      const variables = randomVariables(each, 3 + group);
      slots.load(`a${group}`, group, variables);
      const onDevice = new Map([...variables].map(([name, value]) => [name, toDevice(value)]));
      const expected = greedy(adapterNet(tinyConfig, weights, each, onDevice), 6);
      expect(expected).not.toEqual(base);
      expect(await answer(`a${group}`)).toEqual(expected);
    }
    expect(await answer(null)).toEqual(base);
    session.dispose();
  },
);

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
