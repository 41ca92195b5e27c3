import { formOf } from '@moraine/contract/methods/forms';
import { linearShapes } from '@moraine/contract/plan';
import { loadTf } from '@moraine/engine';
import { expect, test } from 'vitest';
import {
  type Adapter,
  adapterNet,
  createMerge,
  createMethod,
  exportAdapter,
  type HostTensor,
  initialAdapter,
  type Method,
  storedMethod,
  toDevice,
  toHost,
  weightReader,
} from '../src/index.js';
import { adapterRows } from './golden-set.js';
import { hostWeights, tinyConfig } from './tiny.js';

const tf = loadTf();
const paths = linearShapes(tinyConfig).map(({ name }) => name);
const adapterOf = (method: Adapter['method'], adapted = paths): Adapter => ({ method, paths: adapted, dropout: 0 });

function trained(adapter: Adapter): Map<string, HostTensor> {
  const start = [...initialAdapter(tinyConfig, adapter, 5, weightReader(hostWeights()))];
  // The groups of ReMoRA are those of a type; everything else may be any number.
  const draw = (value: HostTensor, i: number) => toHost(tf.randomNormal(value.shape, 0, 0.1, 'float32', i + 1));
  return new Map(start.map(([name, value], i) => [name, name.endsWith('mora_groups') ? value : draw(value, i)]));
}

/** W0 + alpha / r · B·A, as every reader of a LoRA folder computes it. */
function mergedByReader(weight: HostTensor, a: HostTensor, b: HostTensor, alpha: number, rank: number) {
  return tf.add(toDevice(weight), tf.mul(tf.matMul(toDevice(b), toDevice(a)), alpha / rank));
}

test.each<[string, Method, number, number]>([
  ['LoRA', createMethod({ type: 'lora', rank: 4, alpha: 16, use_rslora: false }), 4, 16],
  ['rsLoRA, its scale folded into B', createMethod({ type: 'lora', rank: 4, alpha: 16, use_rslora: true }), 4, 4],
  ...([1, 2, 3, 4, 'truncation'] as const).map((mora_type): [string, Method, number, number] => [
    `MoRA type ${mora_type} as an exact LoRA of its side`,
    createMethod({ type: 'mora', rank: 4, mora_type }),
    17,
    17,
  ]),
])('%s: the PEFT folder describes the merged weights', (_, method, rank, alpha) => {
  const weights = hostWeights();
  const read = (name: string): HostTensor => weights.get(name) ?? { shape: [0], data: new Float32Array() };
  const adapter = adapterOf(method);
  const variables = trained(adapter);
  const { peft } = exportAdapter(tinyConfig, adapter, variables, 'tiny');
  const { tensors = new Map<string, HostTensor>(), config = {} } = peft ?? {};
  expect(config).toMatchObject({ peft_type: 'LORA', r: rank, lora_alpha: alpha, use_rslora: false, bias: 'none' });
  expect(config.target_modules).toEqual(['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']);
  expect(tensors.size).toBe(2 * paths.length);
  const merge = createMerge(adapter, variables);
  for (const path of paths) {
    const base = read(`${path}.weight`);
    const merged = merge(`${path}.weight`, base);
    const stem = `base_model.model.${path}`;
    const [a, b] = [tensors.get(`${stem}.lora_A.weight`), tensors.get(`${stem}.lora_B.weight`)];
    if (a === undefined || b === undefined) throw new Error(`${stem} is not exported`);
    expect([a.shape[0], b.shape[1]]).toEqual([rank, rank]);
    const expected = mergedByReader(base, a, b, alpha, rank);
    expect(tf.max(tf.abs(tf.sub(expected, toDevice(merged)))).dataSync()[0]).toBeLessThan(1e-5);
  }
});

test('an adapter on some layers only names full paths', () => {
  const some = ['model.layers.0.mlp.up_proj', 'model.layers.1.self_attn.q_proj'];
  const adapter = adapterOf(createMethod({ type: 'lora', rank: 2, alpha: 2, use_rslora: false }), some);
  expect(exportAdapter(tinyConfig, adapter, trained(adapter), 'tiny').peft?.config.target_modules).toEqual(some);
});

test('MoRA type 6 has no form as a LoRA and keeps its own', () => {
  const adapter = adapterOf(createMethod({ type: 'mora', rank: 4, mora_type: 6 }));
  const variables = trained(adapter);
  const { native, peft } = exportAdapter(tinyConfig, adapter, variables, 'tiny');
  expect(peft).toBeNull();
  const { tensors, config } = native;
  expect(config).toMatchObject({
    rank: 4,
    mora_type: 6,
    pairing: 'half',
    padding: 'circular',
    base_model_name_or_path: 'tiny',
  });
  expect((config.side as Record<string, number>)['model.layers.0.self_attn.q_proj']).toBe(16);
  expect(tensors.get('model.layers.1.mlp.down_proj.mora_M')?.shape).toEqual([16, 16]);
});

test('what has no form of its own is the PEFT folder itself', () => {
  const adapter = adapterOf(createMethod({ type: 'lora', rank: 2, alpha: 2, use_rslora: false }));
  const { native, peft } = exportAdapter(tinyConfig, adapter, trained(adapter), 'tiny');
  expect(native).toBe(peft);
  expect(native.configName).toBe('adapter_config.json');
});

test.each(adapterRows.map((row) => [row.name, row] as const))(
  '%s: every form is read back as the same model',
  (_, row) => {
    const adapter = adapterOf(createMethod(row));
    const variables = trained(adapter);
    const merge = createMerge(adapter, variables);
    const { native, peft } = exportAdapter(tinyConfig, adapter, variables, 'tiny');
    for (const { configName, config, tensors } of peft === null ? [native] : [native, peft]) {
      const form = formOf(configName, config);
      if (form === undefined) throw new Error(`nothing reads ${configName}`);
      const source = { dir: 'x', file: 'x', json: config, tensors: () => new Map(tensors), base: tinyConfig };
      const read = storedMethod(form).read(source);
      expect([...read.paths].sort()).toEqual([...paths].sort());
      const again = createMerge({ method: createMethod(read.options), paths: read.paths, dropout: 0 }, read.variables);
      for (const [name, base] of hostWeights()) {
        const difference = tf
          .max(tf.abs(tf.sub(toDevice(merge(name, base)), toDevice(again(name, base)))))
          .dataSync()[0];
        expect(difference).toBeLessThan(1e-5);
      }
    }
  },
);

test.each([
  ['PEFT’s layout', { type: 'lora', rank: 2, alpha: 2, use_rslora: false }, 'base_model.model.'],
  ['its own form', { type: 'mora', rank: 2, mora_type: 6 }, ''],
] as const)('weights trained whole travel with an adapter in %s, and merge at a share', (_, options, prefix) => {
  const adapter = adapterOf(createMethod(options));
  const shape = [tinyConfig.hiddenSize];
  const norm = { shape, data: new Float32Array(tinyConfig.hiddenSize).fill(3) };
  const variables = new Map([...trained(adapter), ['model.norm.weight', norm]]);
  const { native } = exportAdapter(tinyConfig, adapter, variables, 'tiny');
  expect(native.config.modules_to_save).toEqual(['model.norm']);
  expect(native.tensors.get(`${prefix}model.norm.weight`)).toBe(norm);
  const base = { shape, data: new Float32Array(tinyConfig.hiddenSize).fill(1) };
  const first = (lambda: number) => createMerge(adapter, variables, lambda)('model.norm.weight', base).data[0];
  expect([0, 0.25, 1].map(first)).toEqual([1, 1.5, 3]);
  const onDevice = new Map([...variables].map(([name, value]) => [name, toDevice(value)]));
  const net = adapterNet(tinyConfig, new Map([['model.norm.weight', toDevice(base)]]), adapter, onDevice);
  expect(net.get('model.norm.weight').dataSync()[0]).toBe(3);
});

test('PEFT, which does not tie what it loads, is given a tied head beside its embedding', () => {
  const adapter = adapterOf(createMethod({ type: 'hira', rank: 2 }));
  const shape = [tinyConfig.vocabSize, tinyConfig.hiddenSize];
  const embedding = { shape, data: new Float32Array(tinyConfig.vocabSize * tinyConfig.hiddenSize) };
  const { native } = exportAdapter(
    tinyConfig,
    adapter,
    new Map([...trained(adapter), ['model.embed_tokens.weight', embedding]]),
    'tiny',
  );
  expect(native.config.modules_to_save).toEqual(['model.embed_tokens', 'lm_head']);
  expect(native.tensors.get('base_model.model.lm_head.weight')).toBe(embedding);
});

test('a LoRA with a rank for each layer, as others write it, is exported with one, the smaller filled with zeros', () => {
  const method = createMethod({ type: 'lora', rank: 2, alpha: 6, use_rslora: false });
  const [narrow = '', wide = ''] = paths;
  const adapter = adapterOf(method, [narrow, wide]);
  const variables = new Map(
    [narrow, wide].flatMap((path, i) => {
      const rank = 2 + 3 * i;
      const outDim = hostWeights().get(`${path}.weight`)?.shape[0] ?? 0;
      return [
        [`${path}.lora_A`, toHost(tf.randomNormal([rank, 32], 0, 1, 'float32', 1 + i))] as const,
        [`${path}.lora_B`, toHost(tf.randomNormal([outDim, rank], 0, 1, 'float32', 11 + i))] as const,
      ];
    }),
  );
  const { peft } = exportAdapter(tinyConfig, adapter, variables, 'tiny');
  expect(peft?.config).toMatchObject({ r: 5, lora_alpha: 15 });
  const merge = createMerge(adapter, variables);
  for (const path of [narrow, wide]) {
    const base = hostWeights().get(`${path}.weight`) ?? { shape: [0], data: new Float32Array() };
    const [a, b] = ['A', 'B'].map((each) => peft?.tensors.get(`base_model.model.${path}.lora_${each}.weight`));
    if (a === undefined || b === undefined) throw new Error(`${path} is not exported`);
    expect([a.shape[0], b.shape[1]]).toEqual([5, 5]);
    const apart = tf.sub(mergedByReader(base, a, b, 15, 5), toDevice(merge(`${path}.weight`, base)));
    expect(tf.max(tf.abs(apart)).dataSync()[0]).toBeLessThan(1e-5);
  }
});
