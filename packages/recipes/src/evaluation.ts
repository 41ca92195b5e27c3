import type { EvaluationResult, JobSpec } from '@moraine/contract';
import type { LlamaConfig } from '@moraine/contract/plan';
import {
  IGNORED,
  type Layout,
  layOut,
  layoutCost,
  planLayout,
  type TextTokenizer,
  type TrainingRow,
} from '@moraine/data';
import { device } from '@moraine/engine';
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
  shapes: readonly BatchShape[];
  /** Loss and token accuracy on the validation file. */
  validate(score: Score): Promise<Evaluation>;
  /** The evaluation files, one result each, with greedy samples. */
  files(score: Score, net: () => OpenNet, step: number): AsyncGenerator<EvaluationResult>;
}

/** Tokens a pass, unless one row is longer: the activations of one pass are what bounds the memory. */
const TOKENS_PER_PASS = 4096;
const SHAPES_MAX = 3;
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
  const layout = evaluationLayout([validation, ...files.map(({ rows }) => rows)], spec, config);
  const passes = (rows: readonly TrainingRow[]) => (layout === null ? [] : layOut(rows, layout, tokenizer.padId));
  return {
    hasValidation: validation.length > 0,
    shapes: layout?.shapes ?? [],
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

/** How all files are laid out; null when there are none. */
function evaluationLayout(files: readonly TrainingRow[][], { config }: JobSpec, model: LlamaConfig): Layout | null {
  const rows = files.flat();
  if (rows.length === 0) return null;
  let first = 0;
  const steps = files.flatMap((file) => {
    const numbers = file.map((_row, i) => first + i);
    first += file.length;
    return file.length === 0 ? [] : [numbers];
  });
  return planLayout({
    lengths: rows.map(({ ids }) => ids.length),
    steps,
    packing: config.packing,
    cost: layoutCost(model, device().kind),
    passes: 10,
    tokensMax: Math.ceil(TOKENS_PER_PASS / config.accumulation),
    shapesMax: SHAPES_MAX,
  });
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
