import { AppError } from '@moraine/contract';
import { isObject, type Json } from './row-problem.js';

/** Parts that a tokenizer.json may leave out. */
const ABSENT: Json = { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null, added_tokens: [] };

/** Models that are computed here; the library would take any other for a list of words. */
const MODELS = ['BPE', 'Unigram', 'WordPiece', 'WordLevel'];

/** The tokenizer.json with nothing left out: every dialect's model named, truncation and padding of the last owner gone. */
export function normalizeTokenizer(json: Json): Json & { model: Json } {
  const { model } = json;
  if (!isObject(model)) {
    throw new AppError('invalid_base', 'tokenizer.json has no model.', {
      param: 'tokenizer.json model',
      hint: 'Take the file as the model came with it.',
    });
  }
  return {
    ...ABSENT,
    ...json,
    model: { ...model, type: typeOf(model) },
    truncation: null,
    padding: null,
  };
}

/** Old files do not name the type of their model. */
function typeOf(model: Json): string {
  const { type = 'merges' in model ? 'BPE' : Array.isArray(model.vocab) ? 'Unigram' : 'WordPiece' } = model;
  if (typeof type === 'string' && MODELS.includes(type)) return type;
  throw new AppError('invalid_base', `tokenizer.json's model is of type ${JSON.stringify(type)}.`, {
    param: 'tokenizer.json model.type',
    hint: `Take a base whose tokenizer is one of ${MODELS.join(', ')}.`,
  });
}

/** The largest id of a token that any text can make: of the model's own vocabulary, without the tokens that were added to it. */
export function largestId({ model }: Json): number {
  if (!isObject(model)) return -1;
  const { vocab } = model;
  if (Array.isArray(vocab)) return vocab.length - 1;
  const ids = isObject(vocab) ? Object.values(vocab) : [];
  return ids.reduce<number>((max, id) => (typeof id === 'number' ? Math.max(max, id) : max), -1);
}
