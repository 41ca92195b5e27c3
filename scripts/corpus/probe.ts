/** What the base can do while it trains: loss on held-out text, questions from memory, and who gave what on fresh passages. */
import { type Batch, IGNORED } from '@moraine/contract';
import { collate, createRandom, type EncodedRow, type PackedRows, packedBatch } from '@moraine/data';
import { evaluate, type TokenScores } from '@moraine/lm';
import { askSlots, FACT_KINDS, factQuestion } from './documents.js';
import { drawPassage, type Handover } from './passage.js';
import { ASSISTANT, COMMON_NAMES, END, NEW_NAMES, RARE_NAMES, RESIDENTS, USER } from './world.js';

/** Scores a batch with the model as it is. */
export type Score = (batch: Batch) => TokenScores;
type Encode = (text: string) => number[];

const PAD_ID = 3;
/** Questions scored at once; the trainer has an evaluation signature for so many rows. */
export const PROBE_ROWS = 40;

function answerRow(encode: Encode, question: string, answer: string): EncodedRow {
  const prompt = encode(`${USER}${question}${ASSISTANT}`);
  const completion = encode(`${answer}${END}`);
  return { ids: [...prompt, ...completion], labels: [...prompt.map(() => IGNORED), ...completion] };
}

/** Share of rows whose every supervised token is the most likely one, percent: what greedy decoding would write. */
async function exactMatch(score: Score, rows: readonly EncodedRow[]): Promise<number> {
  const batches: Batch[] = [];
  for (let at = 0; at < rows.length; at += PROBE_ROWS) {
    batches.push(collate(rows.slice(at, at + PROBE_ROWS), { padId: PAD_ID, multiple: 16 }));
  }
  return 100 * (await evaluate(score, batches)).exactMatch;
}

/** Mean loss over the first rows of the validation text. */
export async function validationLoss(score: Score, validation: PackedRows, rowCount = 64): Promise<number> {
  const batches: Batch[] = [];
  for (let at = 0; at < rowCount; at += 16) {
    batches.push(
      packedBatch(
        validation,
        Array.from({ length: 16 }, (_, i) => at + i),
      ),
    );
  }
  return (await evaluate(score, batches)).loss;
}

/** Exact match on all 360 questions about the residents, percent. */
export function closedBookScore(score: Score, encode: Encode): Promise<number> {
  const rows = RESIDENTS.flatMap((name) => FACT_KINDS.map((kind) => answerRow(encode, ...factQuestion(name, kind, 0))));
  return exactMatch(score, rows);
}

export type NameScores = Record<'common' | 'rare' | 'new', number>;

/**
 * Exact match of "Quote ..." on fresh passages, percent, by kind of name. `['from']` asks who gave: the skill that comes last,
 * and without which no adapter learns the example task.
 */
export async function quoteScores(
  score: Score,
  encode: Encode,
  slots: readonly (keyof Handover)[] = ['from'],
  passages = 100,
): Promise<NameScores> {
  const ofNames = (names: readonly string[]): Promise<number> => {
    const random = createRandom(6, 1);
    const rows = Array.from({ length: passages }, () => {
      const { event, text } = drawPassage(random, names);
      const [question, answer] = askSlots('Quote', event, slots);
      return answerRow(encode, `${text}\n${question}`, answer);
    });
    return exactMatch(score, rows);
  };
  return { common: await ofNames(COMMON_NAMES), rare: await ofNames(RARE_NAMES), new: await ofNames(NEW_NAMES) };
}
