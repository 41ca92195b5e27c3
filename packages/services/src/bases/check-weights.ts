import { AppError, nearest } from '@moraine/contract';
import { type LlamaConfig, linearShapes } from '@moraine/contract/plan';
import type { TensorHeader } from './safetensors-header.js';

/** Buffers that old exports carry along; recomputed from config.json and never read. */
const IGNORED = /\.rotary_emb\.inv_freq$/;

/** Every weight of a Llama-family model by its Hugging Face name, [out, in] for linear layers. */
export function expectedShapes(config: LlamaConfig): Map<string, number[]> {
  const { vocabSize, hiddenSize, layers, tieEmbeddings } = config;
  const shapes = new Map<string, number[]>([['model.embed_tokens.weight', [vocabSize, hiddenSize]]]);
  for (let layer = 0; layer < layers; layer++) {
    shapes.set(`model.layers.${layer}.input_layernorm.weight`, [hiddenSize]);
    shapes.set(`model.layers.${layer}.post_attention_layernorm.weight`, [hiddenSize]);
  }
  for (const { name, inDim, outDim } of linearShapes(config)) shapes.set(`${name}.weight`, [outDim, inDim]);
  shapes.set('model.norm.weight', [hiddenSize]);
  if (!tieEmbeddings) shapes.set('lm_head.weight', [vocabSize, hiddenSize]);
  return shapes;
}

/**
 * Holds the tensors of all files against config.json.
 * @throws AppError `invalid_base` naming the tensor with both shapes, a missing one, one too many, or one that two files have.
 */
export function checkWeights(config: LlamaConfig, tensors: readonly TensorHeader[]): void {
  const expected = expectedShapes(config);
  const seen = new Set<string>();
  for (const { name, shape } of tensors) {
    if (IGNORED.test(name)) continue;
    if (seen.has(name)) throw refused(`Two files have the tensor ${name}.`, name, 'Send each shard once.');
    seen.add(name);
    // A tied head may be stored although the embedding stands for it.
    const wanted =
      expected.get(name) ?? (name === 'lm_head.weight' ? [config.vocabSize, config.hiddenSize] : undefined);
    if (!wanted) {
      const near = nearest(name, [...expected.keys()]);
      throw refused(
        `The tensor ${name} [${shape.join(', ')}] is not part of the model that config.json describes.`,
        name,
        near ? `The nearest one is ${near}.` : undefined,
      );
    }
    if (wanted.join() !== shape.join()) {
      throw refused(
        `${name} is [${shape.join(', ')}], but config.json makes it [${wanted.join(', ')}].`,
        name,
        'config.json and the weights belong to different models, or one of them was edited.',
      );
    }
  }
  // transformers stores a tied matrix under one of its two names, whichever sorts first.
  if (config.tieEmbeddings && seen.has('lm_head.weight')) seen.add('model.embed_tokens.weight');
  const missing = [...expected.keys()].filter((name) => !seen.has(name));
  const [first] = missing;
  if (first) {
    const others = missing.length > 1 ? ` and ${missing.length - 1} other tensors` : '';
    throw refused(
      `${first}${others} of the model that config.json describes are in none of the files.`,
      first,
      'Send every shard that model.safetensors.index.json names.',
    );
  }
}

const refused = (message: string, param: string, hint?: string): AppError =>
  new AppError('invalid_base', message, { param, hint });
