/** The pairs, the rows and batches made of them, and greedy decoding of all answers through teacher-forced passes. */
import { createHash } from 'node:crypto';
import { type Batch, IGNORED } from '@moraine/contract';
import { collate, createRandom, type EncodedRow, epochOrder } from '@moraine/data';
import { DIGITS, PAIR_COUNT, PAIRS_SEED, ROWS_PER_BATCH } from './uuid-config.js';

export interface Pair {
  key: string;
  value: string;
}

/** Random keys, all different, and random values. */
export function drawPairs(count = PAIR_COUNT, seed = PAIRS_SEED): Pair[] {
  const random = createRandom(seed);
  const digits = (): string => Array.from({ length: DIGITS }, () => random.int(0, 15).toString(16)).join('');
  const pairs = new Map<string, string>();
  while (pairs.size < count) {
    const key = digits();
    if (!pairs.has(key)) pairs.set(key, digits());
  }
  return [...pairs].map(([key, value]) => ({ key, value }));
}

export const pairsHash = (pairs: readonly Pair[]): string =>
  createHash('sha256')
    .update(pairs.map(({ key, value }) => `${key} ${value}\n`).join(''))
    .digest('hex');

/** Token id of every character that a row needs, and of the two marks around the key. */
export interface Alphabet {
  user: number;
  assistant: number;
  digits: ReadonlyMap<string, number>;
}

/** Reads the ids from the text of a base's tokenizer.json. @throws Error naming the token that it lacks. */
export function readAlphabet(tokenizerJson: string): Alphabet {
  const { model, added_tokens: added } = JSON.parse(tokenizerJson) as {
    model: { vocab: Record<string, number> };
    added_tokens: { id: number; content: string }[];
  };
  const known = new Map([
    ...Object.entries(model.vocab),
    ...added.map(({ content, id }): [string, number] => [content, id]),
  ]);
  const idOf = (token: string): number => {
    const id = known.get(token);
    if (id === undefined) throw new Error(`The base's tokenizer has no token ${token}.`);
    return id;
  };
  return {
    user: idOf('<|user|>'),
    assistant: idOf('<|assistant|>'),
    digits: new Map(Array.from('0123456789abcdef', (digit) => [digit, idOf(digit)])),
  };
}

/**
 * `<|user|>` key `<|assistant|>` value, one token a character whatever the tokenizer would merge, so that characters and tokens are
 * counted alike. The value's digits are supervised, nothing else.
 */
export function encodePair({ key, value }: Pair, { user, assistant, digits }: Alphabet): EncodedRow {
  const idsOf = (text: string): number[] => Array.from(text, (digit) => digits.get(digit) ?? -1);
  const prompt = [user, ...idsOf(key), assistant];
  const answer = idsOf(value);
  return { ids: [...prompt, ...answer], labels: [...prompt.map(() => IGNORED), ...answer] };
}

/** Tokens of a row; every batch is [ROWS_PER_BATCH, ROW_TOKENS]. */
export const ROW_TOKENS = 2 + 2 * DIGITS;

/** Rows of a step (from 1): ten batches an epoch, a new order every epoch, the same for every method at equal seeds. */
export function stepRows(step: number, seed: number, rowCount: number): number[] {
  const batches = rowCount / ROWS_PER_BATCH;
  const epoch = Math.floor((step - 1) / batches);
  const first = ((step - 1) % batches) * ROWS_PER_BATCH;
  return [...epochOrder(rowCount, seed, epoch).subarray(first, first + ROWS_PER_BATCH)];
}

/** The batch of whole rows. */
export const batchOf = (rows: readonly EncodedRow[]): Batch => collate(rows, { padId: 0 });

export interface Recall {
  /** Characters of all answers that are right, percent; 6.25 by chance among the sixteen digits. */
  characters: number;
  /** Answers that are right as a whole, percent. */
  answers: number;
}

/**
 * What greedy decoding writes after each key, compared with the values. `best` gives the most likely token at every supervised position
 * of a batch, row by row. It starts from the value's own digits: as long as the most likely token is the digit that stands there,
 * decoding would have written the same. At the first difference the token takes the digit's place and the row is scored again from
 * there, so each answer ends as decoding token by token over the whole vocabulary makes it, after at most eight passes.
 */
export function decodeAll(rows: readonly EncodedRow[], best: (batch: Batch) => Int32Array): Recall {
  const states = rows.map(({ ids, labels }) => ({ ids: [...ids], labels, decoded: 0, right: 0 }));
  let open = states;
  while (open.length > 0) {
    for (let at = 0; at < open.length; at += ROWS_PER_BATCH) {
      const part = open.slice(at, at + ROWS_PER_BATCH);
      // Every batch has the one shape; a short one is filled up with its first row.
      const filled = Array.from({ length: ROWS_PER_BATCH }, (_, i) => part[i] ?? (part[0] as (typeof states)[number]));
      const tokens = best(batchOf(filled.map(({ ids, labels }) => ({ ids, labels }))));
      for (const [i, state] of part.entries()) takeOver(state, tokens.subarray(i * DIGITS, (i + 1) * DIGITS));
    }
    open = open.filter(({ decoded }) => decoded < DIGITS);
  }
  const characters = states.reduce((sum, { right }) => sum + right, 0);
  const answers = states.filter(({ right }) => right === DIGITS).length;
  return { characters: (100 * characters) / (states.length * DIGITS), answers: (100 * answers) / states.length };
}

/** Goes along a row's answer up to and with the first token that is another one than stood there. */
function takeOver(state: { ids: number[]; labels: number[]; decoded: number; right: number }, best: Int32Array): void {
  const start = ROW_TOKENS - DIGITS;
  while (state.decoded < DIGITS) {
    const at = start + state.decoded;
    const token = best[state.decoded] ?? -1;
    const isAsAssumed = state.ids[at] === token;
    if (state.labels[at] === token) state.right += 1;
    state.ids[at] = token;
    state.decoded += 1;
    if (!isAsAssumed) return;
  }
}
