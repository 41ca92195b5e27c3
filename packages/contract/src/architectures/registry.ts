import { AppError } from '../errors.js';
import type { Architecture, ModelConfig } from './architecture.js';
import * as families from './index.js';
import { JsonConfig } from './json-config.js';
import type { ModelShape, ModelTensor } from './tensor.js';

/** All families of models that can be trained. */
export const ARCHITECTURES: readonly Architecture[] = Object.values(families);

const SUPPORTED = `Supported: ${ARCHITECTURES.map(({ modelType, className }) => `${modelType} (${className})`).join(', ')}.`;

/**
 * Reads a Hugging Face `config.json`. The family is its `model_type`, or where that is absent the first of `architectures`.
 * @throws AppError `invalid_base` naming the key when one is missing, malformed or asks for something that is not supported.
 */
export function parseModelConfig(input: unknown): ModelConfig {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw new AppError('invalid_base', 'config.json is not a JSON object.', { param: 'config.json' });
  }
  const config = new JsonConfig(input as Record<string, unknown>);
  const family = findFamily(config);
  return { modelType: family.modelType, ...family.parse(config) };
}

/** The family of a model. */
export function architectureOf({ modelType }: ModelShape): Architecture {
  const found = ARCHITECTURES.find((family) => family.modelType === modelType);
  if (found) return found;
  throw new AppError('invalid_base', `There is no model family '${modelType}'.`, {
    param: 'model_type',
    hint: SUPPORTED,
  });
}

/** Every weight of a model, in Hugging Face order. */
export const modelTensors = (shape: ModelShape): ModelTensor[] => architectureOf(shape).tensors(shape);

function findFamily(config: JsonConfig): Architecture {
  const classes = config.texts('architectures');
  const type = config.text('model_type');
  const key = type === undefined ? 'architectures' : 'model_type';
  const found = ARCHITECTURES.find(({ modelType, className }) =>
    type === undefined ? classes?.includes(className) : type === modelType,
  );
  if (found === undefined) {
    throw config.refuse(key, config.has(key) ? 'is not a supported model family' : 'it is missing', SUPPORTED);
  }
  if (classes && !classes.includes(found.className)) {
    throw config.refuse(
      'architectures',
      `has no ${found.className}, which ${found.modelType} is trained as`,
      SUPPORTED,
    );
  }
  return found;
}
