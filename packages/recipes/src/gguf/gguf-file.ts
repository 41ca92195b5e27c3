import { AppError } from '@moraine/contract';
import type { TextTokenizer } from '@moraine/data';
import { encode } from '@moraine/engine';
import type { HostTensor } from '@moraine/lm';
import type { Base } from '../base.js';
import { bytesOf, type GgufDtype, type GgufTensor, ggufHeader, padding } from './format.js';
import { familyOf, modelMetadata, ropeFactors, tensorData, tensorName } from './model.js';
import { type ExtraTokens, missingBytes, tokenizerMetadata } from './tokenizer.js';

export interface GgufModel {
  /** Of the model, for people. */
  name: string;
  baseDir: string;
  base: Base;
  tokenizer: TextTokenizer;
  /** The merged weights, one at a time. */
  weightOf: (name: string) => HostTensor;
  /** Of matrices; default float16. */
  dtype?: GgufDtype | undefined;
}

/**
 * A model in one file as llama.cpp reads it: matrices in float16 or float32, norms and biases in float32, the tokenizer and the chat template. No more than a
 * weight is in memory while the pieces are read.
 * @throws AppError `unsupported_format` for what llama.cpp has no form of or would compute otherwise, and for a number too large for float16.
 */
export function ggufFile(model: GgufModel): { sizeBytes: number; pieces: () => Iterable<Uint8Array> } {
  const { base, name, baseDir, tokenizer, dtype = 'F16' } = model;
  const { config, weights } = base;
  familyOf(config);
  const factors = ropeFactors(config);
  const bytes = missingBytes(baseDir);
  const stored = [...weights].map(([from, { shape }]) => ({
    from,
    ...tensorOf(tensorName(from, config), perToken(from) ? withRows(shape, bytes) : shape, dtype),
  }));
  const extra = factors === null ? [] : [tensorOf('rope_freqs.weight', [factors.length], dtype)];
  const metadata = [
    ...modelMetadata(name, { ...config, vocabSize: config.vocabSize + bytes.texts.length }, dtype),
    ...tokenizerMetadata(baseDir, config.vocabSize, tokenizer, bytes),
  ];
  const tensors: readonly GgufTensor[] = [...extra, ...stored];
  const header = ggufHeader(metadata, tensors);
  const sizeBytes = tensors.reduce((sum, tensor) => sum + padded(tensor), header.length);
  return {
    sizeBytes,
    *pieces() {
      yield header;
      if (factors !== null) yield* tensorPieces(extra[0] as GgufTensor, factors);
      for (const tensor of stored) {
        const weight = model.weightOf(tensor.from);
        const data = tensorData(tensor.from, weight, config);
        yield* tensorPieces(tensor, perToken(tensor.from) ? withRowsOf(data, weight.shape, bytes) : data);
      }
    },
  };
}

/** Whether a weight has a row for each token. */
const perToken = (name: string): boolean => name === 'model.embed_tokens.weight' || name === 'lm_head.weight';

const withRows = ([rows = 0, ...rest]: readonly number[], { texts }: ExtraTokens): number[] => [
  rows + texts.length,
  ...rest,
];

function withRowsOf(data: Float32Array, [, width = 1]: readonly number[], { texts, like }: ExtraTokens): Float32Array {
  if (texts.length === 0) return data;
  const all = new Float32Array(data.length + texts.length * width);
  all.set(data);
  const row = data.subarray(like * width, (like + 1) * width);
  for (let at = data.length; at < all.length; at += width) all.set(row, at);
  return all;
}

const tensorOf = (name: string, shape: readonly number[], dtype: GgufDtype): GgufTensor => ({
  name,
  shape,
  dtype: shape.length === 1 ? 'F32' : dtype,
});

const padded = (tensor: GgufTensor): number => bytesOf(tensor) + padding(bytesOf(tensor));

const LARGEST = 65_504;

function* tensorPieces(tensor: GgufTensor, data: Float32Array): Generator<Uint8Array> {
  const { name, dtype } = tensor;
  const at = dtype === 'F16' ? data.findIndex((value) => Math.abs(value) > LARGEST) : -1;
  if (at >= 0)
    throw new AppError('unsupported_format', `${name} has ${data[at]} as element ${at}, more than float16 holds.`, {
      param: 'format',
      hint: 'Take the merged model, which keeps the type of its base.',
    });
  yield encode(dtype, data);
  const rest = padding(bytesOf(tensor));
  if (rest > 0) yield new Uint8Array(rest);
}
