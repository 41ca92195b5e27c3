/** What the base can do while it trains: loss on held-out text, questions from memory, and who gave what on fresh passages. */
import {
  type Batch,
  collate,
  createRandom,
  type EncodedRow,
  IGNORED,
  type PackedRows,
  packedBatch,
} from '@moraine/data';
import { loadTf, type Tensor } from '@moraine/engine';
import { forward, type LlamaConfig, type Net, supervised } from '@moraine/lm';
import { askSlots, FACT_KINDS, factQuestion } from './documents.js';
import { drawPassage, type Handover } from './passage.js';
import { ASSISTANT, COMMON_NAMES, END, NEW_NAMES, RARE_NAMES, RESIDENTS, USER } from './world.js';

type Encode = (text: string) => number[];

export interface Score {
  /** Mean cross entropy over the supervised tokens, nats. */
  loss: number;
  /** Share of rows whose every supervised token is the most likely one, percent: what greedy decoding would write. */
  exactMatch: number;
}

const PAD_ID = 3;
const ROWS_PER_PASS = 40;

function answerRow(encode: Encode, question: string, answer: string): EncodedRow {
  const prompt = encode(`${USER}${question}${ASSISTANT}`);
  const completion = encode(`${answer}${END}`);
  return { ids: [...prompt, ...completion], labels: [...prompt.map(() => IGNORED), ...completion] };
}

/** Scores batches with one teacher-forced pass each. */
export function scoreBatches(net: Net, config: LlamaConfig, batches: Iterable<Batch>): Score {
  const tf = loadTf();
  let lossSum = 0;
  let tokens = 0;
  let rows = 0;
  let wholeRows = 0;
  for (const batch of batches) {
    const { positions, targets } = supervised(batch);
    const [losses, best] = tf.tidy((): [Float32Array, Int32Array] => {
      const shape: [number, number] = [batch.batch, batch.time];
      const input = {
        ids: tf.tensor2d(batch.ids, shape, 'int32'),
        segments: tf.tensor2d(batch.segments, shape, 'int32'),
      };
      const logits = tf.gather(forward(net, config, input) as never, tf.tensor1d(positions, 'int32')) as Tensor; // [S, V]
      const chosen = tf.sum(tf.mul(logits, tf.oneHot(tf.tensor1d(targets, 'int32'), config.vocabSize)), 1);
      const loss = tf.sub(tf.logSumExp(logits, 1), chosen);
      return [loss.dataSync() as Float32Array, tf.argMax(logits, 1).dataSync() as Int32Array];
    });
    const hasError = new Array<boolean>(batch.batch).fill(false);
    for (let i = 0; i < positions.length; i += 1) {
      lossSum += losses[i] as number;
      if (best[i] !== targets[i]) hasError[Math.floor((positions[i] as number) / batch.time)] = true;
    }
    tokens += positions.length;
    rows += batch.batch;
    wholeRows += hasError.filter((failed) => !failed).length;
  }
  return { loss: lossSum / tokens, exactMatch: (100 * wholeRows) / rows };
}

function scoreRows(net: Net, config: LlamaConfig, rows: readonly EncodedRow[]): Score {
  const batches: Batch[] = [];
  for (let at = 0; at < rows.length; at += ROWS_PER_PASS) {
    batches.push(collate(rows.slice(at, at + ROWS_PER_PASS), { padId: PAD_ID, multiple: 16 }));
  }
  return scoreBatches(net, config, batches);
}

/** Mean loss over the first rows of the validation text. */
export function validationLoss(net: Net, config: LlamaConfig, validation: PackedRows, rowCount = 64): number {
  const batches: Batch[] = [];
  for (let at = 0; at < rowCount; at += 16) {
    batches.push(
      packedBatch(
        validation,
        Array.from({ length: 16 }, (_, i) => at + i),
      ),
    );
  }
  return scoreBatches(net, config, batches).loss;
}

/** Exact match on all 360 questions about the residents, percent. */
export function closedBookScore(net: Net, config: LlamaConfig, encode: Encode): number {
  const rows = RESIDENTS.flatMap((name) => FACT_KINDS.map((kind) => answerRow(encode, ...factQuestion(name, kind, 0))));
  return scoreRows(net, config, rows).exactMatch;
}

export type NameScores = Record<'common' | 'rare' | 'new', number>;

/**
 * Exact match of "Quote ..." on fresh passages, percent, by kind of name. `['from']` asks who gave: the skill that comes last,
 * and without which no adapter learns the example task.
 */
export function quoteScores(
  net: Net,
  config: LlamaConfig,
  encode: Encode,
  slots: readonly (keyof Handover)[] = ['from'],
  passages = 100,
): NameScores {
  const score = (names: readonly string[]): number => {
    const random = createRandom(6, 1);
    const rows = Array.from({ length: passages }, () => {
      const { event, text } = drawPassage(random, names);
      const [question, answer] = askSlots('Quote', event, slots);
      return answerRow(encode, `${text}\n${question}`, answer);
    });
    return scoreRows(net, config, rows).exactMatch;
  };
  return { common: score(COMMON_NAMES), rare: score(RARE_NAMES), new: score(NEW_NAMES) };
}
