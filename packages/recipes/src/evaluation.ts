import type { EvaluationResult, JobSpec } from '@moraine/contract';
import type { LlamaConfig } from '@moraine/contract/plan';
import { collate, IGNORED, type TextTokenizer, type TrainingRow } from '@moraine/data';
import {
  type Batch,
  type BatchShape,
  type Evaluation,
  evaluate,
  generate,
  type Net,
  type TokenScores,
} from '@moraine/lm';
import type { Encode } from './encode.js';

/** A net over tensors of its own. */
export interface OpenNet {
  net: Net;
  dispose(): void;
}

type Score = (batch: Batch) => TokenScores;

/** Evaluates a net on the files of a run. Everything is encoded once. */
export interface Evaluator {
  hasValidation: boolean;
  /** Of every batch that is scored. */
  shapes: BatchShape[];
  /** Loss and token accuracy on the validation file. */
  validate(score: Score): Promise<Evaluation>;
  /** The evaluation files, one result each, with greedy samples. */
  files(score: Score, net: () => OpenNet, step: number): AsyncGenerator<EvaluationResult>;
}

/** Rows a pass; the activations of one pass are what bounds the memory. */
const ROWS_PER_PASS = 32;
/** A sample is cut at twice its expected length and a little; decoding costs a pass a token. */
const NEW_TOKENS_EXTRA = 16;
const NEW_TOKENS_MAX = 256;

/** Reads and encodes the validation file and the evaluation files of a run. */
export async function createEvaluator(
  spec: JobSpec,
  config: LlamaConfig,
  tokenizer: TextTokenizer,
  encode: Encode,
): Promise<Evaluator> {
  const validation = spec.validationFile === null ? [] : await encode('Validation file', spec.validationFile);
  const files = await Promise.all(
    spec.evaluationFiles.map(async (file) => ({
      ...file,
      rows: await encode(`Evaluation file ${file.name}`, file.path),
    })),
  );
  const passes = (rows: readonly TrainingRow[]) =>
    Array.from({ length: Math.ceil(rows.length / ROWS_PER_PASS) }, (_, i) =>
      collate(rows.slice(i * ROWS_PER_PASS, (i + 1) * ROWS_PER_PASS), { padId: tokenizer.padId, multiple: 8 }),
    );
  return {
    hasValidation: validation.length > 0,
    shapes: shapesOf([...passes(validation), ...files.flatMap(({ rows }) => passes(rows))]),
    validate: (score) => evaluate(score, passes(validation)),
    async *files(score, open, step) {
      for (const { id, name, rows } of files) {
        const found = await evaluate(score, passes(rows));
        const answered = rows.filter(({ promptLength }) => promptLength > 0);
        const { net, dispose } = open();
        const samples = await sample(net, config, tokenizer, answered.slice(0, spec.config.evaluation.samples));
        dispose();
        yield {
          fileId: id,
          name,
          step,
          rows: rows.length,
          supervisedTokens: found.supervisedTokens,
          loss: found.loss,
          tokenAccuracy: found.tokenAccuracy,
          exactMatch: answered.length === rows.length ? found.exactMatch : null,
          samples,
        };
      }
    },
  };
}

/** One shape that holds them all. */
function shapesOf(batches: readonly Batch[]): BatchShape[] {
  if (batches.length === 0) return [];
  return [{ batch: ROWS_PER_PASS, time: Math.max(...batches.map(({ time }) => time)) }];
}

async function sample(
  net: Net,
  config: LlamaConfig,
  tokenizer: TextTokenizer,
  rows: readonly TrainingRow[],
): Promise<EvaluationResult['samples']> {
  if (rows.length === 0) return [];
  const prompts = rows.map(({ ids, promptLength }) => ids.slice(0, promptLength));
  const expected = rows.map(firstAnswer);
  const longest = Math.max(...expected.map((answer) => answer.length));
  const maxNewTokens = Math.min(NEW_TOKENS_MAX, 2 * longest + NEW_TOKENS_EXTRA);
  const answers = await generate(net, config, prompts, { stopIds: tokenizer.eosIds, maxNewTokens });
  return rows.map(({ ids, promptLength }, i) => ({
    prompt: tokenizer.decode(ids.slice(0, promptLength), { skipSpecialTokens: true }),
    expected: tokenizer.decode(expected[i] ?? [], { skipSpecialTokens: true }),
    generated: tokenizer.decode(answers[i] ?? [], { skipSpecialTokens: true }),
  }));
}

/** The supervised tokens that follow the prompt; a conversation may go on after them. */
function firstAnswer({ ids, labels, promptLength }: TrainingRow): number[] {
  const end = labels.indexOf(IGNORED, promptLength);
  return ids.slice(promptLength, end < 0 ? ids.length : end);
}
