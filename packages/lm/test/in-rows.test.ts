import { linearShapes } from '@moraine/contract/plan';
import { expect, test } from 'vitest';
import { type Adapter, createMethod, type HostTensor, initialAdapter, inRows } from '../src/index.js';
import { tinyConfig } from './tiny.js';

const names = linearShapes(tinyConfig).map(({ name }) => name);
const unread = (): HostTensor => ({ shape: [], data: new Float32Array() });

function made(rank: number, ...ends: string[]) {
  const method = createMethod({ type: 'lora', rank, alpha: 2 * rank, use_rslora: false });
  const adapter: Adapter = {
    method,
    paths: names.filter((name) => ends.some((end) => name.endsWith(end))),
    dropout: 0,
  };
  return { adapter, variables: initialAdapter(tinyConfig, adapter, 1, unread) };
}

test.each([
  [3, ['q_proj', 'v_proj'], 8, ['q_proj', 'v_proj']],
  [9, ['q_proj'], 16, ['q_proj', 'v_proj']],
  [8, ['o_proj'], 8, ['q_proj', 'k_proj', 'v_proj', 'o_proj']],
  [4, ['up_proj', 'q_proj'], 8, ['_proj']],
])('a LoRA of rank %i of %j has rank %i in rows, and the layers %j', (rank, ends, wide, layers) => {
  const { adapter, variables } = made(rank, ...ends);
  const rows = inRows(tinyConfig, adapter, variables);
  expect(rows?.adapter.paths).toEqual(names.filter((name) => layers.some((end) => name.endsWith(end))));
  const whole = rows?.variablesAt(1) ?? new Map();
  expect([...whole.keys()]).toEqual(rows?.adapter.paths.flatMap((path) => [`${path}.lora_A`, `${path}.lora_B`]));
  for (const [name, { shape, data }] of whole) {
    expect(name.endsWith('lora_A') ? shape[0] : shape[1]).toBe(wide);
    const sum = (values: Float32Array = new Float32Array()) =>
      values.reduce((total, value) => total + Math.abs(value), 0);
    // B is zero, and A has no factor.
    expect(sum(data)).toBeCloseTo(sum(variables.get(name)?.data), 4);
  }
});

test('variables that are not those of its layers in this base are refused by name', () => {
  const { adapter, variables } = made(4, 'q_proj');
  const [first = ''] = variables.keys();
  const refused = (changed: ReadonlyMap<string, HostTensor>, paths = adapter.paths): unknown => {
    try {
      return inRows(tinyConfig, { ...adapter, paths }, changed);
    } catch (error) {
      return error;
    }
  };
  const without = new Map([...variables].filter(([name]) => name !== first));
  expect(refused(without)).toMatchObject({ code: 'invalid_value', param: first });
  const deeper = 'model.layers.99.self_attn.q_proj';
  const value = variables.get(first) ?? unread();
  expect(refused(new Map([...variables, [`${deeper}.lora_A`, value]]), [...adapter.paths, deeper])).toMatchObject({
    code: 'invalid_value',
    param: `${deeper}.lora_A`,
  });
  const wider = { shape: [4, 999], data: new Float32Array(4 * 999) };
  expect(refused(new Map([...variables, [first, wider]]))).toMatchObject({ code: 'invalid_value', param: first });
});
