import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createRandom } from '../../packages/data/src/random.js';

const LENGTH_MAX = 4_000;

/** `count` texts of the files of a folder, spread evenly over all of them: the strings of JSON and JSONL, the paragraphs of text. */
export function dataTexts(folder: string, count: number): string[] {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) =>
    /\.(jsonl?|txt)$/.test(file),
  );
  const perFile = Math.ceil(count / files.length);
  return files.flatMap((file) => spread(textsOf(join(folder, file)), perFile)).slice(0, count);
}

function textsOf(file: string): string[] {
  const text = readFileSync(file, 'utf8');
  if (file.endsWith('.txt')) return text.split(/(?<=\n\n)/);
  const values = file.endsWith('.jsonl')
    ? text
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line))
    : [JSON.parse(text)];
  return values.flatMap(stringsIn);
}

function stringsIn(value: unknown): string[] {
  if (typeof value === 'string') return value === '' ? [] : [value.slice(0, LENGTH_MAX)];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(stringsIn) : [];
}

const spread = (texts: readonly string[], count: number): string[] =>
  texts.length <= count
    ? [...texts]
    : Array.from({ length: count }, (_, i) => texts[Math.floor((i * texts.length) / count)] ?? '');

/** What tokenizers differ over: white space of all kinds, marks, numbers that are no digits, contractions, special tokens. */
const PIECES = [
  ...[
    ' ',
    '  ',
    '\n',
    '\r\n',
    '\t',
    '\u00a0',
    '\u0085',
    '\u2028',
    '\u3000',
    '\ufeff',
    '\u200b',
    '\u200d',
    '\v',
    '\f',
    '\0',
  ],
  ..."'s 'S 'll 'RE 't 'ſ ’s don't a B z Hello WORLD camelCase ß ſ K İ ı é e\u0301 \u0301 \u0323 ñ ﬁ ﷺ Ω Å".split(' '),
  ...'1 23 456 7890 ½ ² Ⅳ ٣ 四 ① 3.14 1,000'.split(' '),
  ...'日本 語 한국 \u1112\u1161\u11ab Привет мир नमस्ते ไทย مرحبا שלום 😀 👩‍👩‍👧 🇩🇪 𝔘 𠜎 ǅ ʰ ª'.split(' '),
  ...'! ... ??? --- / // \\ _ ▁ ▁▁ $ € % # @ & * ( ) [ ] { } < > | ~ ` ^ + = : ; , "'.split(' '),
  ...'<s> </s> <unk> <|endoftext|> <|im_start|> <|im_end|> <|begin_of_text|> [INST] <think> <bos> <end_of_turn> <0x0A> <table>'.split(
    ' ',
  ),
];

/** `count` texts of such pieces, the same for a seed. */
export function generatedTexts(seed: number, count: number): string[] {
  const random = createRandom(seed);
  return Array.from({ length: count }, () =>
    Array.from({ length: random.int(1, 14) }, () => random.pick(PIECES)).join(''),
  );
}
