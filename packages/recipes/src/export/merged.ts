import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Rounding } from '@moraine/contract';
import { listNamedTemplates, TEMPLATE_FILE } from '@moraine/data';
import { decode, encode, type LazyTensor, type StoredTensor, type TensorDtype } from '@moraine/engine';
import type { HostTensor } from '@moraine/lm';
import { type Base, readWeight } from '../base.js';
import { piecesOf } from '../weight-bytes.js';
import { copiedFile, type ExportFile, jsonFile, tensorsFile } from './files.js';

/** Files of a base that belong to a whole model besides its weights and chat templates. */
const COMPANIONS = [
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.json',
  'merges.txt',
  'tokenizer.model',
];

/** The weights of a whole model: which of them differ from the base's, and what they are. */
export interface MergedWeights {
  /** Whether it may differ; others are the base's, byte for byte. */
  isChanged(name: string): boolean;
  weightOf(name: string): HostTensor;
}

/** A Hugging Face folder of the base with other weights, each in the type that the base stores it in. One weight is held at a time. */
export function mergedFiles(baseDir: string, base: Base, { isChanged, weightOf }: MergedWeights): ExportFile[] {
  const tensors = new Map(
    [...base.weights].map(([name, slice]): [string, LazyTensor | StoredTensor] => {
      const { shape } = slice;
      const dtype = writtenAs(slice.dtype);
      if (!isChanged(name) && dtype === slice.dtype) return [name, { shape, dtype, bytes: () => piecesOf(slice) }];
      return [name, { shape, dtype, make: () => weightOf(name).data }];
    }),
  );
  return [
    configFile(baseDir, base),
    ...[...COMPANIONS, TEMPLATE_FILE, ...listNamedTemplates(baseDir)].flatMap((name) => copiedFile(baseDir, name)),
    tensorsFile('model.safetensors', tensors),
  ];
}

/** config.json as it is; where it ties a head that differs from the embedding it is corrected, so that no reader drops the head. */
function configFile(baseDir: string, { config }: Base): ExportFile {
  const json = JSON.parse(readFileSync(join(baseDir, 'config.json'), 'utf8')) as Record<string, unknown>;
  const [copied] = copiedFile(baseDir, 'config.json');
  const isRight = config.tieEmbeddings || json.tie_word_embeddings !== true;
  return isRight && copied ? copied : jsonFile('config.json', () => ({ ...json, tie_word_embeddings: false }));
}

/** Trained in float32, so a base in doubles is written in float32. */
const writtenAs = (dtype: TensorDtype): TensorDtype => (dtype === 'F64' ? 'F32' : dtype);

/** Weights as a reader of the file will have them, and on the way what writing them loses. */
export function createRounded(base: Base, merged: MergedWeights) {
  const total = { lost: 0, changed: 0, worst: 0, worstWeight: null as string | null };
  const seen = new Set<string>();
  const dtypes = new Set<string>();
  const weightOf = (name: string): HostTensor => {
    const stored = base.weights.get(name)?.dtype ?? 'F32';
    const dtype = writtenAs(stored);
    if (!merged.isChanged(name)) return readWeight(base, name);
    const exact = merged.weightOf(name);
    dtypes.add(dtype);
    if (dtype === 'F32') return exact;
    const bytes = encode(dtype, exact.data);
    const rounded = decode(dtype, bytes.slice().buffer) as Float32Array;
    if (!seen.has(name)) measure(name, exact, rounded);
    seen.add(name);
    return { shape: exact.shape, data: rounded };
  };
  const measure = (name: string, exact: HostTensor, rounded: Float32Array): void => {
    const { data: before } = readWeight(base, name);
    let [lost, changed] = [0, 0];
    for (let i = 0; i < before.length; i++) {
      const value = exact.data[i] ?? 0;
      lost += (value - (rounded[i] ?? 0)) ** 2;
      changed += (value - (before[i] ?? 0)) ** 2;
    }
    total.lost += lost;
    total.changed += changed;
    const own = shareOf(lost, changed);
    if (own > total.worst) Object.assign(total, { worst: own, worstWeight: name });
  };
  const rounding = (): Rounding => ({
    dtype: [...dtypes].sort().join(', '),
    share: shareOf(total.lost, total.changed),
    worst: total.worst,
    worst_weight: total.worstWeight,
  });
  return { weightOf, rounding };
}

/** Of a weight that did not change nothing is lost. */
const shareOf = (lost: number, changed: number): number => (changed === 0 ? 0 : Math.sqrt(lost / changed));
