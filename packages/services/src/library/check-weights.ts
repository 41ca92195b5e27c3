import { AppError, nearest } from '@moraine/contract';
import { type LlamaConfig, weightShapes } from '@moraine/contract/plan';
import type { TensorHeader } from './safetensors-header.js';

/** Buffers that old exports carry along; recomputed from config.json and never read. */
const IGNORED = /\.rotary_emb\.inv_freq$/;

/**
 * Holds the tensors of all files against config.json.
 * @throws AppError `invalid_base` naming the tensor with both shapes, a missing one, one too many, or one that two files have.
 */
export function checkWeights(config: LlamaConfig, tensors: readonly TensorHeader[]): void {
  const expected = weightShapes(config);
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
