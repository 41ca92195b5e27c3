import type { Tokenizer } from '@huggingface/tokenizers';
import { AppError } from '@moraine/contract';
import { type ChatTemplate, compileTemplates } from './chat-template.js';
import { exactTokenizer } from './exact-tokenizer.js';
import { isObject, type Json } from './row-problem.js';
import type { TemplateSources } from './template-files.js';
import { byteEndsOf, piecesOf, tokenBytes } from './token-bytes.js';
import { type Companions, folderReader, type ReadText, readTokenizerFiles } from './tokenizer-files.js';
import { largestId, normalizeTokenizer } from './tokenizer-json.js';

/** A base's tokenizer with what training and generation need to know about it. */
export interface TextTokenizer {
  vocabSize: number;
  /** The largest id that a text without added tokens can make. */
  ownIdMax: number;
  bosId: number | null;
  /** The end token that training appends. */
  eosId: number;
  eosText: string;
  /** Every token that ends a generation, `eosId` first. */
  eosIds: number[];
  padId: number;
  /** Ids of all special tokens. */
  specialIds: ReadonlySet<number>;
  /** Of all the base's chat templates, the one that a conversation asks for; the plain form where the base has none. */
  chatTemplate: ChatTemplate;
  /** False: the base has no chat template for conversations without tools. */
  hasChatTemplate: boolean;
  /** The chat templates as the base's files have them. */
  templates: TemplateSources;
  /** Special tokens written in the text are recognised. `addSpecialTokens` (default false) adds what the base puts around a text, a begin token say. */
  encode(text: string, options?: { addSpecialTokens?: boolean }): number[];
  decode(ids: readonly number[], options?: { skipSpecialTokens?: boolean }): string;
  /** Where each token of the encoded text ends, in bytes of UTF-8; null where the tokens do not spell the text. */
  byteEnds(text: string, ids: readonly number[]): Int32Array | null;
  /** The text of each token; of letters that several tokens spell, the last has them. */
  pieces(ids: readonly number[]): string[];
  /** The bytes that a token stands for; null where that is not known. */
  bytes(id: number): Uint8Array | null;
  /** Whether a special token of the base is written in the text. */
  holdsSpecial(text: string): boolean;
  /** False: no token of the text is a special one. */
  mayMakeSpecial(text: string): boolean;
}

/** A special token's text: a string or `{content}`, in the first file that names it. */
function tokenText(key: string, ...sources: (Json | null)[]): string | null {
  for (const source of sources) {
    const value = source?.[key];
    if (typeof value === 'string') return value;
    if (isObject(value) && typeof value.content === 'string') return value.content;
  }
  return null;
}

function idList(value: unknown): number[] {
  return (Array.isArray(value) ? value : [value]).filter((id): id is number => Number.isInteger(id));
}

/** End tokens of common families, for folders that hold a tokenizer.json and name none. */
const KNOWN_END_TOKENS = ['<|endoftext|>', '</s>', '<|end_of_text|>', '<|im_end|>', '<eos>'];

/** The token that stands for letters that the vocabulary does not have. */
function modelUnk({ model }: Json): string | null {
  const { unk_token, unk_id, vocab } = isObject(model) ? model : {};
  const piece: unknown = Array.isArray(vocab) ? vocab[Number(unk_id ?? Number.NaN)] : null;
  const unk: unknown = Array.isArray(piece) ? piece[0] : unk_token;
  return typeof unk === 'string' ? unk : null;
}

/** Whether the tokens are written in the letters of bytes. */
const isByteLevel = ({ pre_tokenizer, decoder }: Json): boolean =>
  JSON.stringify([pre_tokenizer, decoder]).includes('"ByteLevel"');

/**
 * Loads the tokenizer of a Hugging Face folder: tokenizer.json in any of its dialects, special tokens from tokenizer_config.json,
 * special_tokens_map.json, config.json and generation_config.json, the chat templates from chat_template.jinja and
 * additional_chat_templates or tokenizer_config.json.
 * `day` is what a template takes for today.
 * @throws AppError `invalid_base` naming the file and what to do.
 */
export const loadTokenizer = (directory: string, day?: Date): Promise<TextTokenizer> =>
  openTokenizer(folderReader(directory), day);

/** As `loadTokenizer`, for files that are anywhere. */
export async function openTokenizer(read: ReadText, day?: Date): Promise<TextTokenizer> {
  const { json, companions } = await readTokenizerFiles(read);
  return orUnreadable(() => {
    const tokenizer = createTokenizer(json, companions, day);
    return {
      ...tokenizer,
      encode: (text, options) => orUnreadable(() => tokenizer.encode(text, options)),
      decode: (ids, options) => orUnreadable(() => tokenizer.decode(ids, options)),
    };
  });
}

/** The library believes what a tokenizer.json says: whatever it fails with on a damaged one is about that file. */
function orUnreadable<T>(use: () => T): T {
  try {
    return use();
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new AppError('invalid_base', `tokenizer.json cannot be read: ${why}.`, {
      param: 'tokenizer.json',
      hint: 'Take the file as the model came with it. What is read: BPE, Unigram and WordPiece with the parts that @huggingface/tokenizers knows.',
      cause,
    });
  }
}

function createTokenizer(
  json: Json,
  { config, map, model, generation, templates }: Companions,
  day: Date | undefined,
): TextTokenizer {
  const unk = modelUnk(json);
  const read = { clean_up_tokenization_spaces: false, ...config, ...(unk !== null && { unk_token: unk }) };
  const tokenizer: Tokenizer = exactTokenizer(normalizeTokenizer(json), read);
  const idOf = (text: string | null): number | null => (text === null ? null : (tokenizer.token_to_id(text) ?? null));
  const textOf = (id: number | undefined): string | null =>
    id === undefined ? null : (tokenizer.id_to_token(id) ?? null);

  const bosText = tokenText('bos_token', config, map) ?? textOf(idList(model?.bos_token_id)[0]);
  const eosText =
    tokenText('eos_token', config, map) ??
    textOf(idList(model?.eos_token_id)[0]) ??
    KNOWN_END_TOKENS.find((text) => idOf(text) !== null) ??
    null;
  const eosId = idOf(eosText);
  if (eosText === null || eosId === null) {
    throw new AppError(
      'invalid_base',
      `The base names no end token${eosText === null ? '' : ` (${eosText} is not in its vocabulary)`}.`,
      {
        param: 'tokenizer_config.json eos_token',
        hint: 'Add "eos_token" to tokenizer_config.json: the token that ends an answer.',
      },
    );
  }
  const bosId = idOf(bosText);
  const padText = tokenText('pad_token', config, map);
  const eosIds = [...new Set([eosId, ...idList(generation?.eos_token_id), ...idList(model?.eos_token_id)])];
  const specialIds = new Set<number>([...eosIds, ...(bosId === null ? [] : [bosId])]);
  const added = tokenizer.get_added_tokens_decoder();
  for (const [id, token] of added) if (token.special) specialIds.add(id);
  const addsBos = config?.add_bos_token === true && bosId !== null;

  const encode: TextTokenizer['encode'] = (text, options = {}) => {
    const special = options.addSpecialTokens ?? false;
    const ids = text === '' && !special ? [] : idsOf(tokenizer.encode(text, { add_special_tokens: special }));
    return special && addsBos && ids[0] !== bosId ? [bosId, ...ids] : ids;
  };
  const hasTemplate = templates.whole !== null || templates.toolUse !== null || templates.names.length > 0;
  const usesBos = encode('', { addSpecialTokens: true })[0] === bosId;
  const unkText = tokenText('unk_token', config, map);
  const tokens = {
    bos_token: hasTemplate || usesBos ? (bosText ?? '') : '',
    eos_token: eosText,
    ...(padText === null ? {} : { pad_token: padText }),
    ...(unkText === null ? {} : { unk_token: unkText }),
  };
  const bytesOf = tokenBytes(
    (id) => tokenizer.id_to_token(id),
    new Set(added.keys()),
    isByteLevel(json),
    idOf(modelUnk(json)),
  );
  const holdsSpecial = specialFinder([...specialIds].flatMap((id) => tokenizer.id_to_token(id) ?? []));
  // A token of the vocabulary, or one that is looked for in the normalized text, is not found by its letters.
  const areLiteral = [...specialIds].every(
    (id) => added.get(id)?.normalized === false && added.get(id)?.content.trim(),
  );
  return {
    vocabSize: tokenizer.get_vocab().size,
    ownIdMax: largestId(json),
    bosId,
    eosId,
    eosText,
    eosIds,
    padId: idOf(padText) ?? eosId,
    specialIds,
    chatTemplate: compileTemplates(templates, tokens, day),
    hasChatTemplate: templates.whole !== null,
    templates,
    encode,
    decode: (ids, options = {}) =>
      ids.length === 0 ? '' : tokenizer.decode([...ids], { skip_special_tokens: options.skipSpecialTokens ?? true }),
    byteEnds: (text, ids) => byteEndsOf(text, ids, bytesOf),
    pieces: (ids) => piecesOf(ids, bytesOf),
    bytes: bytesOf,
    holdsSpecial,
    mayMakeSpecial: (text) => !areLiteral || holdsSpecial(text),
  };
}

/** @throws AppError `invalid_base` where a piece of the text has no id. */
function idsOf({ ids, tokens }: { ids: number[]; tokens: string[] }): number[] {
  const missing = ids.findIndex((id) => !Number.isInteger(id));
  if (missing < 0) return ids;
  throw new AppError('invalid_base', `tokenizer.json has no token for ${JSON.stringify(tokens[missing])}.`, {
    param: 'tokenizer.json model.unk_token',
    hint: 'Name an unknown token that is in the vocabulary.',
  });
}

/** Looks for any of some texts in a text. */
function specialFinder(specials: readonly string[]): (text: string) => boolean {
  const visible = specials.filter((special) => special.trim() !== '');
  if (visible.length === 0) return () => false;
  const pattern = new RegExp(visible.map((special) => special.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|'));
  return (text) => pattern.test(text);
}
