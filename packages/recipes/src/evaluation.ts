import type { Batch, BatchShape, EvaluationResult, TrainSpec } from '@moraine/contract';
import type { ModelConfig } from '@moraine/contract/plan';
import { type Layout, layOut, layoutCost, planLayout, type TextTokenizer, type TrainingRow } from '@moraine/data';
import { device } from '@moraine/engine';
import { type Evaluation, evaluate, type GenerationPlan, type Generator, type TokenScores } from '@moraine/lm';
import type { Encode } from './encode.js';
import { sample, samplePlan, sampleRows } from './samples.js';

/** What is evaluated: a trainer as it is, or a model. */
export interface Scored {
  score(batch: Batch): TokenScores;
  readonly generator: Generator | null;
}

/** Evaluates on the files of a run. Everything is encoded and laid out once. */
export interface Evaluator {
  hasValidation: boolean;
  /** Of every batch that is scored. */
  shapes: readonly BatchShape[];
  /** Of the samples; undefined when there are none. */
  generation: GenerationPlan | undefined;
  /** Loss and token accuracy on the validation file. */
  validate(scored: Scored): Promise<Evaluation>;
  /** The evaluation files, one result each, with greedy samples. */
  files(scored: Scored, step: number): AsyncGenerator<EvaluationResult>;
}

/** Tokens a pass, unless one row is longer: the activations of one pass are what bounds the memory. */
const TOKENS_PER_PASS = 4096;
const SHAPES_MAX = 3;

/** Reads and encodes the validation file and the evaluation files of a run. */
export async function createEvaluator(
  spec: TrainSpec,
  config: ModelConfig,
  tokenizer: TextTokenizer,
  encode: Encode,
): Promise<Evaluator> {
  const validation = spec.validationFile === null ? [] : await encode('Validation file', spec.validationFile);
  const files = await Promise.all(
    spec.evaluationFiles.map(async (file) => {
      const rows = await encode(`Evaluation file ${file.name}`, file.path);
      return { ...file, rows, sampled: sampleRows(rows, spec.config.evaluation.samples) };
    }),
  );
  const layout = evaluationLayout([validation, ...files.map(({ rows }) => rows)], spec, config);
  const passes = (rows: readonly TrainingRow[]) => (layout === null ? [] : layOut(rows, layout, tokenizer.padId));
  return {
    hasValidation: validation.length > 0,
    shapes: layout?.shapes ?? [],
    generation: samplePlan(
      files.map(({ sampled }) => sampled),
      config.maxPositions,
    ),
    validate: ({ score }) => evaluate(score, passes(validation)),
    async *files({ score, generator }, step) {
      for (const { id, name, rows, sampled } of files) {
        const evaluation = await evaluate(score, passes(rows));
        const isAnswered = rows.every(({ promptLength }) => promptLength > 0);
        yield {
          fileId: id,
          name,
          step,
          rows: rows.length,
          supervisedTokens: evaluation.supervisedTokens,
          loss: evaluation.loss,
          tokenAccuracy: evaluation.tokenAccuracy,
          exactMatch: isAnswered ? evaluation.exactMatch : null,
          samples: generator === null || sampled.length === 0 ? [] : await sample(generator, tokenizer, sampled),
        };
      }
    },
  };
}

/** How all files are laid out; null when there are none. */
function evaluationLayout(files: readonly TrainingRow[][], { config }: TrainSpec, model: ModelConfig): Layout | null {
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
