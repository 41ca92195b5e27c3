import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import { AppError } from '@moraine/contract';
import { type ChatTemplate, compileTemplate, PLAIN_TEMPLATE } from './chat-template.js';
import { templateSource } from './check-template.js';
import { byteEndsOf, tokenBytes } from './token-bytes.js';

/** A base's tokenizer with what training and generation need to know about it. */
export interface TextTokenizer {
  vocabSize: number;
  bosId: number | null;
  /** The end token that training appends. */
  eosId: number;
  eosText: string;
  /** Every token that ends a generation, `eosId` first. */
  eosIds: number[];
  padId: number;
  /** Ids of all special tokens. */
  specialIds: ReadonlySet<number>;
  chatTemplate: ChatTemplate;
  /** False: the base has no chat template and the plain form stands in. */
  hasChatTemplate: boolean;
  /** Special tokens written in the text are recognised. `addSpecialTokens` (default false) adds what the base puts around a text, a begin token say. */
  encode(text: string, options?: { addSpecialTokens?: boolean }): number[];
  decode(ids: readonly number[], options?: { skipSpecialTokens?: boolean }): string;
  /** Where each token of the encoded text ends, in bytes of UTF-8; null where the tokens do not spell the text. */
  byteEnds(text: string, ids: readonly number[]): Int32Array | null;
  /** Whether a special token of the base is written in the text. */
  holdsSpecial(text: string): boolean;
}

type Json = Record<string, unknown>;

async function readJson(directory: string, name: string): Promise<Json | null> {
  let text: string;
  try {
    text = await readFile(join(directory, name), 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
  try {
    const value: unknown = JSON.parse(text.replace(/^\uFEFF/, ''));
    if (isObject(value)) return value;
  } catch (cause) {
    throw new AppError('invalid_base', `${name} of the base is no JSON.`, { param: name, cause });
  }
  throw new AppError('invalid_base', `${name} of the base holds no JSON object.`, { param: name });
}

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

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

/** The tokenizer.json as the library takes it: every dialect's model named, truncation and padding of the last owner gone. */
function normalizeTokenizer(json: Json): Json {
  const { model } = json;
  if (!isObject(model)) throw new AppError('invalid_base', 'tokenizer.json has no model.', { param: 'tokenizer.json' });
  const type = typeof model.type === 'string' ? model.type : 'merges' in model ? 'BPE' : undefined;
  return {
    ...json,
    model: type === undefined ? model : { ...model, type },
    pre_tokenizer: exactly(json.pre_tokenizer),
    truncation: null,
    padding: null,
  };
}

/** GPT-2's pattern, which a byte-level pre-tokenizer splits by. */
const BYTE_LEVEL_PATTERN = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/**
 * A pre-tokenizer in words that the library and Hugging Face's own read alike. The library's Digits splits decimal digits only, Hugging
 * Face's every number (½, ², Ⅳ); its ByteLevel takes U+FEFF for white space and U+0085 for none. Its Split does both right.
 */
function exactly(preTokenizer: unknown): unknown {
  if (!isObject(preTokenizer)) return preTokenizer;
  const { type, pretokenizers, individual_digits: isIndividual, add_prefix_space, use_regex } = preTokenizer;
  if (Array.isArray(pretokenizers)) return { ...preTokenizer, pretokenizers: pretokenizers.map(exactly) };
  if (type === 'Digits') return splitAt(isIndividual === true ? '\\p{N}' : '\\p{N}+');
  if (type !== 'ByteLevel' || use_regex === false || add_prefix_space === true) return preTokenizer;
  return { type: 'Sequence', pretokenizers: [splitAt(BYTE_LEVEL_PATTERN), { ...preTokenizer, use_regex: false }] };
}

const splitAt = (Regex: string): Json => ({ type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false });

/** The token that stands for letters that the vocabulary does not have. */
const modelUnk = ({ model }: Json): string | null =>
  isObject(model) && typeof model.unk_token === 'string' ? model.unk_token : null;

/** Whether the tokens are written in the letters of bytes. */
const isByteLevel = ({ pre_tokenizer, decoder }: Json): boolean =>
  JSON.stringify([pre_tokenizer, decoder]).includes('"ByteLevel"');

/**
 * Loads the tokenizer of a Hugging Face folder: tokenizer.json in any of its dialects, special tokens from tokenizer_config.json,
 * special_tokens_map.json, config.json and generation_config.json, the chat template from chat_template.jinja or tokenizer_config.json.
 * `day` is what a template takes for today.
 * @throws AppError `invalid_base` naming the file and what to do.
 */
export async function loadTokenizer(directory: string, day?: Date): Promise<TextTokenizer> {
  const [json, config, map, model, generation] = await Promise.all(
    ['tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json', 'config.json', 'generation_config.json'].map(
      (name) => readJson(directory, name),
    ),
  );
  if (!json) {
    throw new AppError('invalid_base', 'The base has no tokenizer.json.', {
      param: 'tokenizer.json',
      hint: 'Save it once with a fast tokenizer: AutoTokenizer.from_pretrained(folder).save_pretrained(folder).',
    });
  }
  const jinja = await readFile(join(directory, 'chat_template.jinja'), 'utf8').catch(() => null);
  const companions = {
    config: config ?? null,
    map: map ?? null,
    model: model ?? null,
    generation: generation ?? null,
    jinja,
  };
  return createTokenizer(json, companions, day);
}

interface Companions {
  config: Json | null;
  map: Json | null;
  model: Json | null;
  generation: Json | null;
  jinja: string | null;
}

function createTokenizer(
  json: Json,
  { config, map, model, generation, jinja }: Companions,
  day: Date | undefined,
): TextTokenizer {
  let tokenizer: Tokenizer;
  try {
    tokenizer = new Tokenizer(normalizeTokenizer(json), { clean_up_tokenization_spaces: false, ...config });
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new AppError('invalid_base', `tokenizer.json cannot be read: ${why}.`, { param: 'tokenizer.json', cause });
  }
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
    const ids = text === '' && !special ? [] : tokenizer.encode(text, { add_special_tokens: special }).ids;
    return special && addsBos && ids[0] !== bosId ? [bosId, ...ids] : ids;
  };
  const source = templateSource(jinja, config);
  const usesBos = encode('', { addSpecialTokens: true })[0] === bosId;
  const unkText = tokenText('unk_token', config, map);
  const tokens = {
    bos_token: source !== null || usesBos ? (bosText ?? '') : '',
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
  return {
    vocabSize: tokenizer.get_vocab().size,
    bosId,
    eosId,
    eosText,
    eosIds,
    padId: idOf(padText) ?? eosId,
    specialIds,
    chatTemplate: compileTemplate(source ?? PLAIN_TEMPLATE, tokens, day),
    hasChatTemplate: source !== null,
    encode,
    decode: (ids, options = {}) =>
      ids.length === 0 ? '' : tokenizer.decode([...ids], { skip_special_tokens: options.skipSpecialTokens ?? true }),
    byteEnds: (text, ids) => byteEndsOf(text, ids, bytesOf),
    holdsSpecial: specialFinder([...specialIds].flatMap((id) => tokenizer.id_to_token(id) ?? [])),
  };
}

/** Looks for any of some texts in a text. */
function specialFinder(specials: readonly string[]): (text: string) => boolean {
  const visible = specials.filter((special) => special.trim() !== '');
  if (visible.length === 0) return () => false;
  const pattern = new RegExp(visible.map((special) => special.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|'));
  return (text) => pattern.test(text);
}
