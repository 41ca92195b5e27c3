import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AppError } from '@moraine/contract';
import type { TextTokenizer } from '@moraine/data';
import type { GgufMetadata, GgufValue } from './format.js';

/** Types of tokens, as llama.cpp numbers them. */
const TYPES = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

interface AddedToken {
  id: number;
  content: string;
  special: boolean;
  normalized?: boolean;
}
interface Part {
  type?: string;
  [key: string]: unknown;
}
interface TokenizerJson {
  added_tokens?: AddedToken[];
  normalizer: Part | null;
  pre_tokenizer: Part | null;
  model: {
    type: string;
    vocab: Record<string, number>;
    merges: (string | [string, string])[];
    unk_token?: string | null;
    byte_fallback?: boolean;
    ignore_merges?: boolean;
  };
}

const WORDS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+";
const REST = '| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
/** How byte-level tokenizers split a text, by what llama.cpp calls it. */
const SPLITS: Readonly<Record<string, string>> = {
  [`${WORDS}|\\p{N}${REST}`]: 'qwen2',
  [`${WORDS}|\\p{N}{1,3}${REST}`]: 'dbrx',
};

const readTokenizerJson = (dir: string): TokenizerJson =>
  JSON.parse(readFileSync(join(dir, 'tokenizer.json'), 'utf8')) as TokenizerJson;

/** Tokens that a file gets behind its vocabulary: their texts, and the token whose weights they have. */
export interface ExtraTokens {
  texts: string[];
  like: number;
}

/**
 * Bytes that a SentencePiece tokenizer falls back on and has no tokens of. Its own way is the unknown token; llama.cpp ends the whole program at such a
 * byte, so the file has them, with the weights of the unknown token.
 * @throws AppError `unsupported_format` where there is no unknown token.
 */
export function missingBytes(dir: string): ExtraTokens {
  const { model } = readTokenizerJson(dir);
  if (model.byte_fallback !== true) return { texts: [], like: 0 };
  const texts = Array.from({ length: 256 }, (_, byte) => byteToken(byte)).filter((word) => !(word in model.vocab));
  const like = model.vocab[model.unk_token ?? ''];
  if (texts.length > 0 && like === undefined)
    throw unsupported(`its vocabulary lacks ${texts.length} bytes and has no unknown token in their place`);
  return { texts, like: like ?? 0 };
}

const byteToken = (byte: number): string => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;

/**
 * What llama.cpp reads of a base's tokenizer and chat template, with these tokens behind its vocabulary.
 * @throws AppError `unsupported_format` for one that it has no form of.
 */
export function tokenizerMetadata(
  dir: string,
  vocabSize: number,
  tokenizer: TextTokenizer,
  extra: ExtraTokens,
): GgufMetadata {
  const json = readTokenizerJson(dir);
  if (json.model.type !== 'BPE') throw unsupported(`its tokenizer is a ${json.model.type}, not BPE`);
  const merges = json.model.merges.map((merge) => (typeof merge === 'string' ? splitMerge(merge) : merge));
  const parts = partsOf(json);
  const own = parts.some(({ type }) => type === 'ByteLevel') ? byteLevel(json, merges) : sentencePiece(json, merges);
  const tokens = [...listTokens(json, vocabSize), ...extra.texts.map((word) => ({ text: word, type: TYPES.byte }))];
  const id = (key: string, value: number | null): [string, GgufValue][] =>
    value === null || value < 0 ? [] : [[`tokenizer.ggml.${key}`, { type: 'u32', value }]];
  const framed = tokenizer.encode('a', { addSpecialTokens: true });
  return [
    ...own.metadata,
    ['tokenizer.ggml.tokens', { type: 'strings', value: tokens.map(({ text }) => text) }],
    ['tokenizer.ggml.token_type', { type: 'i32s', value: tokens.map(({ type }) => type) }],
    ...scoresOf(tokens, own.scoreOf),
    ...id('bos_token_id', tokenizer.bosId),
    ...id('eos_token_id', tokenizer.eosId),
    ...id('eot_token_id', tokenizer.eosIds.find((one) => one !== tokenizer.eosId) ?? null),
    ...id('unknown_token_id', json.model.unk_token == null ? null : (json.model.vocab[json.model.unk_token] ?? null)),
    ...id('padding_token_id', tokenizer.padId),
    [
      'tokenizer.ggml.add_bos_token',
      { type: 'bool', value: tokenizer.bosId !== null && framed[0] === tokenizer.bosId },
    ],
    ['tokenizer.ggml.add_eos_token', { type: 'bool', value: framed.length > 1 && framed.at(-1) === tokenizer.eosId }],
    ...templateMetadata(tokenizer.templates),
  ];
}

const scoresOf = (tokens: readonly Token[], scoreOf: Own['scoreOf']): GgufMetadata =>
  scoreOf === undefined
    ? []
    : [['tokenizer.ggml.scores', { type: 'f32s', value: tokens.map(({ text: word }) => scoreOf(word)) }]];

interface Own {
  metadata: GgufMetadata;
  scoreOf?: ((text: string) => number) | undefined;
}

const text = (key: string, value: string): [string, GgufValue] => [`tokenizer.ggml.${key}`, { type: 'string', value }];

/** Byte-level BPE: merges by rank, and the name of how it splits. */
function byteLevel(json: TokenizerJson, merges: readonly [string, string][]): Own {
  const pairs = merges.map(([a, b]) => `${a} ${b}`);
  return {
    metadata: [
      text('model', 'gpt2'),
      text('pre', preOf(json)),
      ['tokenizer.ggml.merges', { type: 'strings', value: pairs }],
      ['tokenizer.ggml.add_space_prefix', { type: 'bool', value: false }],
    ],
  };
}

function preOf(json: TokenizerJson): string {
  const normalizers = kindsOf(json.normalizer, 'normalizers');
  const stray = normalizers.find((kind) => kind !== 'NFC');
  if (stray !== undefined) throw unsupported(`its tokenizer normalises by ${stray}, which llama.cpp does not`);
  const parts = partsOf(json);
  const splits = parts.filter(({ type }) => type === 'Split');
  const last = parts.at(-1) ?? {};
  const isPlain = last.type === 'ByteLevel' && last.add_prefix_space !== true;
  if (isPlain && splits.length === 0 && last.use_regex !== false) {
    const digits = parts.filter(({ type }) => type === 'Digits');
    if (parts.length === 1) return 'gpt-2';
    if (parts.length === 2 && digits[0]?.individual_digits === true) return 'smollm';
  }
  const regex = (splits[0]?.pattern as { Regex?: string } | undefined)?.Regex ?? '';
  const known = isPlain && parts.length === 2 && last.use_regex === false ? SPLITS[regex] : undefined;
  // Llama 3 takes a word that is a token as it is, before any merge.
  const isWhole = json.model.ignore_merges === true;
  if (known === 'dbrx') return isWhole ? 'llama-bpe' : known;
  if (known !== undefined && !isWhole) return known;
  throw unsupported('its tokenizer splits texts in a way that llama.cpp has no name for');
}

/** SentencePiece's BPE: llama.cpp merges by the score of what comes out, so a token's score is the rank of its first merge. */
function sentencePiece(json: TokenizerJson, merges: readonly [string, string][]): Own {
  if (json.model.byte_fallback !== true)
    throw unsupported('its tokenizer is neither byte-level nor falls back to bytes');
  const ranks = new Map<string, number>();
  for (const [rank, [a, b]] of merges.entries()) if (!ranks.has(a + b)) ranks.set(a + b, rank);
  return {
    metadata: [
      text('model', 'llama'),
      text('pre', 'default'),
      ['tokenizer.ggml.add_space_prefix', { type: 'bool', value: addsPrefix(json) }],
      ['tokenizer.ggml.remove_extra_whitespaces', { type: 'bool', value: false }],
    ],
    scoreOf: (token) => -(ranks.get(token) ?? merges.length),
  };
}

/** Whether a text gets a space in front. @throws AppError where spaces are written in another way than llama.cpp's. */
function addsPrefix(json: TokenizerJson): boolean {
  const normalizers = kindsOf(json.normalizer, 'normalizers');
  const stray = normalizers.find((kind) => kind !== 'Prepend' && kind !== 'Replace');
  const parts = partsOf(json);
  const [space] = parts;
  const isMetaspace = space?.type === 'Metaspace' && space.replacement === '▁' && space.split !== true;
  // Gemma splits behind each space, which its normalizer has replaced by then: nothing is split.
  const isIdle = space === undefined || (space.type === 'Split' && normalizers.includes('Replace'));
  if (stray !== undefined || parts.length > 1 || !(isMetaspace || (isIdle && normalizers.includes('Replace'))))
    throw unsupported('its tokenizer writes spaces in a way that llama.cpp has no form of');
  return isMetaspace ? space.prepend_scheme !== 'never' : normalizers.includes('Prepend');
}

interface Token {
  text: string;
  type: number;
}

/** One token for each row of the embedding. */
function listTokens({ model, added_tokens: added = [] }: TokenizerJson, vocabSize: number): Token[] {
  const tokens: Token[] = Array.from({ length: vocabSize }, (_, id) => ({ text: `[PAD${id}]`, type: TYPES.unused }));
  const put = (id: number, token: Token): void => {
    if (id < vocabSize) tokens[id] = token;
  };
  for (const [word, id] of Object.entries(model.vocab)) {
    const isByte = model.byte_fallback === true && /^<0x[0-9A-F]{2}>$/.test(word);
    const type = isByte ? TYPES.byte : word === model.unk_token ? TYPES.unknown : TYPES.normal;
    put(id, { text: word, type });
  }
  const marksSpaces = model.byte_fallback === true;
  for (const { id, content, special, normalized } of added) {
    if (marksSpaces && !special && normalized !== true && content.includes('▁')) {
      // Gemma's runs of spaces, which no text has as they are written here: merges alone make them.
      if (model.vocab[content] === id) continue;
      throw unsupported(`its added token ${id}, '${content}', has marks of spaces and is not of its vocabulary`);
    }
    const type = content === model.unk_token ? TYPES.unknown : special ? TYPES.control : TYPES.userDefined;
    // Such a token is looked for in the text as it is written, before spaces get their mark.
    const asWritten = marksSpaces && type === TYPES.userDefined ? content.replaceAll('▁', ' ') : content;
    put(id, { text: asWritten, type });
  }
  return tokens;
}

const splitMerge = (merge: string): [string, string] => {
  const space = merge.indexOf(' ', 1);
  return [merge.slice(0, space), merge.slice(space + 1)];
};

/** The pre-tokenizers, one after the other. */
const partsOf = ({ pre_tokenizer: pre }: TokenizerJson): Part[] =>
  pre === null ? [] : pre.type === 'Sequence' ? (pre.pretokenizers as Part[]) : [pre];

function kindsOf(part: Part | null, inner: string): string[] {
  if (part === null) return [];
  return part.type === 'Sequence' ? (part[inner] as Part[]).map(({ type }) => type ?? '') : [part.type ?? ''];
}

/** The base's own chat templates, as they are written: the default one, and one for tools under its name. */
const templateMetadata = ({ whole, toolUse }: TextTokenizer['templates']): GgufMetadata => [
  ...(toolUse === null
    ? []
    : ([
        ['tokenizer.chat_template.tool_use', { type: 'string', value: toolUse }],
        ['tokenizer.chat_templates', { type: 'strings', value: ['tool_use'] }],
      ] as const)),
  ...(whole === null ? [] : ([['tokenizer.chat_template', { type: 'string', value: whole }]] as const)),
];

const unsupported = (problem: string): AppError =>
  new AppError('unsupported_format', `The model has no GGUF form: ${problem}.`, {
    param: 'format',
    hint: 'Take the merged model.',
  });
