import type { Batch, BatchShape, EvaluationResult, TrainSpec } from '@moraine/contract';
import type { ModelConfig } from '@moraine/contract/plan';
import { layOut, planEvaluation, type TextTokenizer, type TrainingRow } from '@moraine/data';
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
  /** The rows of the validation file; none without one. */
  validationRows: readonly TrainingRow[];
  /** Of every batch that is scored. */
  shapes: readonly BatchShape[];
  /** Of the samples; undefined when there are none. */
  generation: GenerationPlan | undefined;
  /** Loss and token accuracy on the validation file. */
  validate(scored: Scored): Promise<Evaluation>;
  /** The evaluation files, one result each, with greedy samples. */
  files(scored: Scored, step: number): AsyncGenerator<EvaluationResult>;
}

/** Reads and encodes the validation file and the evaluation files of a run. `onPass` is called before each batch that is scored. */
export async function createEvaluator(
  spec: TrainSpec,
  config: ModelConfig,
  tokenizer: TextTokenizer,
  encode: Encode,
  onPass: () => void = () => undefined,
): Promise<Evaluator> {
  const validation = spec.validationFile === null ? [] : await encode.scored('Validation file', spec.validationFile);
  const files = await Promise.all(
    spec.evaluationFiles.map(async (file) => {
      const rows = await encode.scored(`Evaluation file ${file.name}`, file.path);
      return { ...file, rows, sampled: sampleRows(rows, spec.config.evaluation.samples) };
    }),
  );
  const lengths = [validation, ...files.map(({ rows }) => rows)].map((rows) => rows.map(({ ids }) => ids.length));
  const { packing, accumulation } = spec.config;
  const layout = planEvaluation(lengths, { model: config, device: device().kind, packing, accumulation });
  const counted =
    (score: Scored['score']): Scored['score'] =>
    (batch) => {
      onPass();
      return score(batch);
    };
  const passes = (rows: readonly TrainingRow[]) => (layout === null ? [] : layOut(rows, layout, tokenizer.padId));
  return {
    hasValidation: validation.length > 0,
    validationRows: validation,
    shapes: layout?.shapes ?? [],
    generation: samplePlan(
      files.map(({ sampled }) => sampled),
      config.maxPositions,
    ),
    validate: ({ score }) => evaluate(counted(score), passes(validation)),
    async *files({ score, generator }, step) {
      for (const { id, name, rows, sampled } of files) {
        const evaluation = await evaluate(counted(score), passes(rows));
        onPass();
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
