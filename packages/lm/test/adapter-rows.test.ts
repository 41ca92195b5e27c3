import { loadTf } from '@moraine/engine';
import { expect, test, vi } from 'vitest';
import { type Adapter, adapterNet, createMethod, createNet, forward, rowVariables, toDevice } from '../src/index.js';
import { generating, randomVariables, tinyPlan } from './generation-setup.js';
import { adapterRows } from './golden-set.js';
import { idsOf, tinyConfig } from './tiny.js';

const tf = loadTf();
const paths = ['model.layers.0.self_attn.q_proj', 'model.layers.1.mlp.down_proj'];
const prompt = idsOf(2, 7);

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
const rowwise = adapterRows.filter((row) => createMethod(row).rows !== undefined);

// Rows of one batch with different adapters of two groups, and one without any.
test.each(rowwise.map((row) => [row.name, row] as const))(
  '%s: each row of a batch answers as its adapter beside the base does, one without as the base',
  async (_, row) => {
    const adapter: Adapter = { method: createMethod(row), paths, dropout: 0 };
    const groups = [adapter, lora(2)];
    const plan = { ...tinyPlan, batches: [4], prefillTimes: [8] };
    const { session, generator, adapters, values } = await generating(tinyConfig, 'plain', { plan, groups });
    const weights = new Map([...values].map(([name, value]) => [name, toDevice(value)]));
    const expected: (number[] | undefined)[] = [greedy(createNet({ weights }), 6)];
    for (const [i, group] of [0, 0, 1].entries()) {
      const each = groups[group] as Adapter;
      const variables = randomVariables(each, 3 + i);
      adapters.load(`a${i}`, group, rowVariables(each, variables));
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
  await expect(generating(tinyConfig, 'plain', { groups: [dora] })).rejects.toThrow(
    expect.objectContaining({ hint: 'Merge the adapter into weights of its own.' }),
  );
});

test('after a write that failed nobody answers by what is left in the row', async () => {
  const plan = { ...tinyPlan, batches: [1], prefillTimes: [8] };
  const groups = [lora(2), lora(3)];
  const { session, generator, adapters } = await generating(tinyConfig, 'plain', { plan, groups });
  const answer = async (adapter: string | null) =>
    (await generator.generate([prompt], { maxNewTokens: 8, adapter }))[0]?.ids;
  for (const [i, name] of ['first', 'second'].entries()) adapters.load(name, i, randomVariables(lora(2 + i), 3));
  const [second, base, first] = [await answer('second'), await answer(null), await answer('first')];
  expect(new Set([first, second, base].map(String)).size).toBe(3);
  const run = session.run.bind(session);
  const failing = vi.spyOn(session, 'run').mockImplementation((name, feeds) => {
    const fetched = run(name, feeds);
    if (name === 'adapters/1') throw new Error('no memory');
    return fetched;
  });
  await expect(answer('second')).rejects.toThrow('no memory');
  failing.mockRestore();
  expect(await answer('first')).toEqual(first);
  expect(await answer(null)).toEqual(base);
  session.dispose();
});

test('an answer keeps the adapter that it began with, whatever becomes of its name', async () => {
  const plan = { ...tinyPlan, batches: [2], prefillTimes: [8] };
  const { session, generator, adapters } = await generating(tinyConfig, 'plain', { plan, groups: [lora(2)] });
  const answer = async (adapter: string | null) =>
    (await generator.generate([prompt], { maxNewTokens: 8, adapter }))[0]?.ids;
  adapters.load('old', 0, randomVariables(lora(2), 3));
  adapters.load('new', 0, randomVariables(lora(2), 4));
  const [before, after, base] = [await answer('old'), await answer('new'), await answer(null)];
  expect(new Set([before, after, base].map(String)).size).toBe(3);
  adapters.load('name', 0, randomVariables(lora(2), 3));
  const under = [1, 2, 3].map(() => generator.begin(prompt, { maxNewTokens: 8, adapter: 'name' }));
  const [first] = under;
  const changed = generator.begin(prompt, {
    maxNewTokens: 8,
    onToken: ({ ids }) => ids.length === 3 && adapters.load('name', 0, randomVariables(lora(2), 4)),
  });
  // The third waits for a row until after the change.
  for (const each of under) expect((await each.completion).ids).toEqual(before);
  expect((await changed.completion).ids).toEqual(base);
  expect((await first?.completion)?.ids).toEqual(before);
  expect(await answer('name')).toEqual(after);
  adapters.unload('name');
  expect(() => generator.begin(prompt, { maxNewTokens: 8, adapter: 'name' })).toThrow("There is no adapter 'name'");
  session.dispose();
});

test('a row that had an adapter answers as the base does beside one that has, and as one of another group', async () => {
  const plan = { ...tinyPlan, batches: [2], prefillTimes: [8] };
  const groups = [lora(2), lora(3)];
  const { session, generator, adapters } = await generating(tinyConfig, 'plain', { plan, groups });
  const answers = async (...names: (string | null)[]) => {
    const begun = names.map((adapter) => generator.begin(prompt, { maxNewTokens: 6, adapter }));
    return Promise.all(begun.map(async ({ completion }) => (await completion).ids));
  };
  adapters.load('two', 0, randomVariables(lora(2), 3));
  adapters.load('three', 1, randomVariables(lora(3), 4));
  const [base, two, three] = [...(await answers(null)), ...(await answers('two')), ...(await answers('three'))];
  expect(new Set([base, two, three].map(String)).size).toBe(3);
  await answers('two', 'two');
  expect(await answers('two', null)).toEqual([two, base]);
  expect(await answers('three', 'two')).toEqual([three, two]);
  expect(await answers(null, 'three')).toEqual([base, three]);
  session.dispose();
});

test('an adapter that brings a module trained whole is refused by that module', async () => {
  const method = createMethod({ type: 'lora', rank: 2, alpha: 4, use_rslora: false });
  const adapter: Adapter = { method, paths, dropout: 0 };
  const plan = { ...tinyPlan, batches: [1], prefillTimes: [8] };
  const { session, adapters } = await generating(tinyConfig, 'plain', { plan, groups: [adapter] });
  const head = { shape: [tinyConfig.vocabSize, tinyConfig.hiddenSize], data: new Float32Array(1) };
  const variables = randomVariables(adapter, 3).set('lm_head.weight', head);
  expect(() => adapters.load('a', 0, variables)).toThrow(
    expect.objectContaining({
      message: 'Adapter a brings its own lm_head.weight, trained whole (modules_to_save).',
      hint: expect.stringContaining('merged model'),
    }),
  );
  session.dispose();
});
