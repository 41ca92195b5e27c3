import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Batch, NumericMode } from '@moraine/contract';
import { linearShapes, matchModules, wholeWeights } from '@moraine/contract/plan';
import { readSafetensors, readSafetensorsHeader, type TensorDtype } from '@moraine/engine';
import type {
  Adapter,
  HostTensor,
  MethodOptions,
  ModelConfig,
  OptimizerOptions,
  Schedule,
  WeightSource,
} from '../src/index.js';
import { createMethod, parseModelConfig } from '../src/index.js';

/** The golden set of scripts/golden: what PyTorch computed for every family and method of matrix.json. See scripts/golden/README.md. */
const folder = join(import.meta.dirname, '../../../scripts/golden');
const fixtures = join(folder, 'fixtures');

type MethodRow = {
  name: string;
  target_modules?: string[];
  modules_to_save?: string[];
  eps?: number;
  kl_to_base?: number;
  /** Rows of every micro-batch that have the role source; the divergence is then taken on them alone. */
  sources?: number[];
} & ({ type: 'none' } | MethodOptions);

interface Matrix {
  /** `methods` are those that a family is tested with, by the first optimiser; absent, all, and further optimisers with theirs. */
  families: { name: string; methods?: string[]; config: Record<string, unknown> }[];
  methods: MethodRow[];
  /** The first goes with every method, another with those that it names. */
  optimizers: [OptimizerRow, ...OptimizerRow[]];
  schedule: Omit<Schedule, 'learningRate'>;
}

type OptimizerRow = OptimizerOptions & { name?: string; learningRate: number; methods?: string[] };

export const matrix = json<Matrix>(join(folder, 'matrix.json'));
const [first, ...others] = matrix.optimizers;

/** The methods of the matrix that train an adapter. */
export const adapterRows = matrix.methods.flatMap((row) => (row.type === 'none' ? [] : [row]));

/** Every family with its methods, and the further optimisers with theirs; `file` is the fixture's name without its ending. */
export const goldenRows = matrix.families.flatMap((family) =>
  matrix.methods.flatMap((method) => {
    if (family.methods?.includes(method.name) === false) return [];
    const row = { name: `${family.name}, ${method.name}`, file: `${family.name}.${method.name}`, family, method };
    const further = family.methods ? [] : others.filter(({ methods = [] }) => methods.includes(method.name));
    return [
      { ...row, optimizer: first },
      ...further.map((optimizer) => ({
        ...row,
        name: `${row.name}, ${optimizer.name ?? optimizer.type}`,
        file: `${row.file}.${optimizer.name ?? optimizer.type}`,
        optimizer,
      })),
    ];
  }),
);

/** One row of every way that a method meets the frozen matrices; on the other families the plainest. */
const BF16_METHODS = [
  ...['full', 'lora', 'lora-kl', 'lora-save', 'lora-rs', 'pissa', 'dora', 'hira', 'miss', 'gralora', 'relora'],
  ...['mora-1', 'mora-6', 'mora-decouple', 'remora', 'oft', 'oft-cayley'],
];

/**
 * Whether a row is tested in a mode. Every row is in the one that runs train in; eager steps, the oracle of the traced ones, with all methods
 * on one family and the plainest on all; XLA compiles each signature for seconds, so it has LoRA whole. Optimisers have no modes of their own.
 */
export function isTestedIn(mode: NumericMode, { family, method, optimizer }: (typeof goldenRows)[number]): boolean {
  const isFirst = family.name === 'llama-tied';
  if (mode === 'eager') return isFirst || ['full', 'lora'].includes(method.name);
  if (mode === 'bf16')
    return optimizer === first && (isFirst ? BF16_METHODS.includes(method.name) : method.name === 'lora');
  return mode === 'plain' || (isFirst && method.name === 'lora' && optimizer === first);
}

/** Methods whose steps are otherwise than one gradient and one update: rates by role, a divergence from the base, restarts between steps. */
const STEPPED_EAGERLY = ['full', 'lora', 'lora-plus', 'lora-kl', 'lora-kl-replay', 'relora', 'remora'];

/** Whether ten steps of a row are taken in a mode. Eagerly they cost seconds, and what a method computes is seen in its first gradients. */
export const isSteppedIn = (mode: NumericMode, row: (typeof goldenRows)[number]): boolean =>
  isTestedIn(mode, row) && (mode !== 'eager' || STEPPED_EAGERLY.includes(row.method.name));

/** What XLA compiles the furthest from LoRA's step: solves, and rotations. `npm run test:xla` has all methods, and restarts. */
const XLA_METHODS = ['oft-cayley', 'mora-6'];

/** Whether XLA compiles the step of a row for one shape, which takes some seconds, and its gradients are looked at. */
export const isCompiledOnce = ({ family, method, optimizer }: (typeof goldenRows)[number]): boolean =>
  family.name === 'llama-tied' && optimizer === first && XLA_METHODS.includes(method.name);

/** Whether `npm run test:xla` takes ten steps of a row: all methods on one family, the plainest on all. */
export const isStepped = ({ family, method, optimizer }: (typeof goldenRows)[number]): boolean =>
  optimizer === first && (family.name === 'llama-tied' || method.name === 'lora');

export interface Golden {
  config: ModelConfig;
  optimizer: OptimizerOptions;
  schedule: Schedule;
  weights: Map<string, WeightSource>;
  adapter: Adapter | null;
  /** Weight of the divergence from the base; undefined where it is not computed. */
  klToBase: number | undefined;
  klOn: 'task' | 'replay';
  hasSources: boolean;
  /** Mean loss of the source rows of every step. */
  sourceLosses?: number[];
  /** KL(p_base ‖ q) of every step, a token. */
  divergences?: number[];
  /** Weights that are trained whole; absent: all without an adapter, none beside one. */
  whole: string[] | undefined;
  /** What the trained variables start with. */
  start: Map<string, HostTensor>;
  batches: Batch[];
  /** The first of them. */
  batch: Batch;
  /** Flat positions of the first batch that are not padding; `logits` [N, V] are theirs. */
  realPositions: number[];
  logits: HostTensor;
  /** Mean over the supervised tokens of the first batch, and its gradients. */
  loss: number;
  grads: Map<string, HostTensor>;
  /** Of every step over all batches. */
  losses: number[];
  gradNorms: number[];
  learningRates: number[];
  /** Trained variables after the last step. */
  after: Map<string, HostTensor>;
}

export function goldenOf({ family, method, optimizer, file }: (typeof goldenRows)[number]): Golden {
  const config = parseModelConfig(family.config);
  const tensors = hostTensors(join(fixtures, `${file}.safetensors`));
  const weightFile = join(fixtures, `${family.name}.safetensors`);
  type Fed = Record<'input_ids' | 'labels' | 'attention_mask', number[][]>;
  const { microBatches } = json<{ microBatches: Fed[] }>(join(fixtures, `${family.name}.json`));
  const batches = microBatches.map(({ input_ids, labels, attention_mask }) => ({
    batch: input_ids.length,
    time: input_ids[0]?.length ?? 0,
    ids: Int32Array.from(input_ids.flat()),
    labels: Int32Array.from(labels.flat()),
    segments: Int32Array.from(attention_mask.flat(), (real) => real - 1),
    positions: Int32Array.from(input_ids.flatMap((row) => [...row.keys()])),
    ...(method.sources && {
      sources: Uint8Array.from(input_ids.flatMap((row, i) => row.map(() => (method.sources?.includes(i) ? 1 : 0)))),
    }),
  }));
  const [batch] = batches;
  if (batch === undefined) throw new Error(`${family.name} has no batch`);
  return {
    config,
    optimizer: { ...optimizer, eps: method.eps ?? optimizer.eps },
    schedule: { ...matrix.schedule, learningRate: optimizer.learningRate, restart: restartOf(method) },
    weights: slices(weightFile),
    adapter: adapterOf(config, method),
    klToBase: method.kl_to_base,
    klOn: method.sources ? 'replay' : 'task',
    hasSources: method.sources !== undefined,
    whole: wholeOf(config, method),
    start:
      method.type === 'none' && method.modules_to_save === undefined
        ? hostTensors(weightFile)
        : under('start', tensors),
    batches,
    batch,
    realPositions: (microBatches[0]?.attention_mask.flat() ?? []).flatMap((real, i) => (real === 1 ? [i] : [])),
    logits: tensors.get('logits') ?? { shape: [0], data: new Float32Array() },
    grads: under('grad', tensors),
    after: under('after', tensors),
    ...json<Pick<Golden, 'loss' | 'losses' | 'gradNorms' | 'learningRates' | 'divergences' | 'sourceLosses'>>(
      join(fixtures, `${file}.json`),
    ),
  };
}

function adapterOf(config: ModelConfig, row: MethodRow): Adapter | null {
  if (row.type === 'none') return null;
  const paths = linearShapes(config).map(({ name }) => name);
  const { target_modules: targets } = row;
  return {
    method: createMethod(row),
    paths: paths.filter((path) => targets?.some((target) => path.endsWith(target)) ?? true),
    dropout: 0,
    restartEvery: restartOf(row)?.every,
  };
}

function wholeOf(config: ModelConfig, { modules_to_save: names }: MethodRow): string[] | undefined {
  if (names === undefined) return undefined;
  const modules = matchModules(config, names, []);
  return wholeWeights({ type: 'none', modules_to_save: modules }, config) ?? undefined;
}

function restartOf(row: MethodRow): Schedule['restart'] {
  const restart = 'restart' in row ? row.restart : undefined;
  return restart && { every: restart.every, warmupSteps: restart.warmup };
}

/** Where the tensors of a file lie, as a base's weights are given. */
function slices(path: string): Map<string, WeightSource> {
  const { entries, dataStart } = readSafetensorsHeader(path);
  return new Map(
    entries.map(({ name, dtype, shape, begin, end }) => [
      name,
      { path, offset: dataStart + begin, bytes: end - begin, dtype: dtype as TensorDtype, shape },
    ]),
  );
}

function hostTensors(path: string): Map<string, HostTensor> {
  const floats = [...readSafetensors(path).tensors].flatMap(([name, { shape, data }]) =>
    data instanceof Float32Array ? [[name, { shape, data }] as const] : [],
  );
  return new Map(floats);
}

/** The tensors named `<prefix>.<name>`, by name. */
function under(prefix: string, tensors: ReadonlyMap<string, HostTensor>): Map<string, HostTensor> {
  const chosen = [...tensors].filter(([name]) => name.startsWith(`${prefix}.`));
  return new Map(chosen.map(([name, tensor]) => [name.slice(prefix.length + 1), tensor]));
}

function json<T>(path: string): T {
  return JSON.parse(readFileSync(path, 'utf8')) as T;
}

/** The real tokens of a batch end to end in one row: each row becomes a document. */
export function packed(batch: Batch, realPositions: readonly number[]): Batch {
  const pick = (values: Int32Array) => Int32Array.from(realPositions, (at) => values[at] ?? 0);
  const places = Int32Array.from({ length: batch.batch * batch.time }, (_, at) => at);
  return {
    batch: 1,
    time: realPositions.length,
    ids: pick(batch.ids),
    labels: pick(batch.labels),
    segments: pick(places.map((at) => Math.floor(at / batch.time))),
    positions: pick(places.map((at) => at % batch.time)),
    ...(batch.sources && { sources: Uint8Array.from(realPositions, (at) => batch.sources?.[at] ?? 0) }),
  };
}

/** max|a - b| / max|b|; NaN and different lengths are infinitely far. */
export function difference(ours: ArrayLike<number>, golden: ArrayLike<number>): number {
  if (ours.length !== golden.length || golden.length === 0) return Number.POSITIVE_INFINITY;
  let [apart, scale] = [0, 0];
  for (let i = 0; i < golden.length; i++) {
    const [a = Number.NaN, b = Number.NaN] = [ours[i], golden[i]];
    if (Number.isNaN(a - b)) return Number.POSITIVE_INFINITY;
    apart = Math.max(apart, Math.abs(a - b));
    scale = Math.max(scale, Math.abs(b));
  }
  return apart / scale;
}

/** The tensor furthest from the golden one, and how far; every name must be in both. */
export function worst(
  ours: ReadonlyMap<string, HostTensor>,
  golden: ReadonlyMap<string, HostTensor>,
): { name: string; value: number } {
  let found = { name: 'none', value: 0 };
  for (const name of new Set([...golden.keys(), ...ours.keys()])) {
    const value = difference(ours.get(name)?.data ?? [], golden.get(name)?.data ?? []);
    if (value > found.value) found = { name, value };
  }
  return found;
}
