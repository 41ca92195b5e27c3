import { Tokenizer } from '@huggingface/tokenizers';
import { createBpe } from './bpe.js';
import { isObject, type Json } from './row-problem.js';
import { createTextEncoder, type EncodeWord } from './text-encoder.js';
import { createUnigram } from './unigram.js';
import { createWordLevel, createWordPiece } from './word-models.js';

/**
 * A tokenizer of the library whose tokens are those of Hugging Face's own: the library has the vocabulary, puts tokens around a text and
 * decodes; what comes before is computed here.
 * @throws AppError `invalid_base` for a part that is not computed here.
 */
export function exactTokenizer(json: Json & { model: Json }, config: object): Tokenizer {
  const { model } = json;
  const bare = { ...json, normalizer: null, pre_tokenizer: null, model: vocabularyOf(model) };
  const tokenizer = new Tokenizer(bare, config);
  keepByteOrderMark(tokenizer.decoder);
  return Object.assign(tokenizer, { encode_text: createTextEncoder(json, createModel(model)) });
}

function createModel(model: Json): EncodeWord {
  switch (model.type) {
    case 'BPE':
      return createBpe(model);
    case 'Unigram':
      return createUnigram(model);
    case 'WordPiece':
      return createWordPiece(model);
    default:
      return createWordLevel(model);
  }
}

/** A model with its tokens and their ids alone: the library would read merges and scores for nothing. */
function vocabularyOf(model: Json): Json {
  const { type, vocab } = model;
  if (type === 'BPE') return { ...model, merges: [] };
  if (type !== 'Unigram') return model;
  const pieces: unknown[] = Array.isArray(vocab) ? vocab : [];
  const ids = pieces.map((piece, id) => [Array.isArray(piece) ? String(piece[0]) : '', id] as const);
  return { type: 'WordLevel', vocab: Object.fromEntries(ids) };
}

/** The library's byte fallback drops a U+FEFF that begins a run of bytes. */
function keepByteOrderMark(decoder: unknown): void {
  if (!isObject(decoder) && typeof decoder !== 'function') return;
  if ('text_decoder' in decoder)
    Object.assign(decoder, { text_decoder: new TextDecoder('utf-8', { ignoreBOM: true }) });
  if ('decoders' in decoder && Array.isArray(decoder.decoders)) decoder.decoders.forEach(keepByteOrderMark);
}
