import type { Batch, BatchShape, EvaluationResult, TrainSpec } from '@moraine/contract';
import type { ModelConfig } from '@moraine/contract/plan';
import { isTextToken, layOut, planEvaluation, type TextTokenizer, type TrainingRow } from '@moraine/data';
import { device } from '@moraine/engine';
import {
  type Evaluation,
  evaluate,
  type GenerationPlan,
  type Generator,
  supervised,
  type TokenScores,
} from '@moraine/lm';
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
  /** Loss and token accuracy on the validation file, and the result of the evaluation file that is the same one, where there is such. */
  validate(scored: Scored, step: number): Promise<Validation>;
  /** The evaluation files, one result each, with greedy samples. */
  files(scored: Scored, step: number): AsyncGenerator<EvaluationResult>;
  /** The one at a place of the list, without samples. */
  file(scored: Scored, step: number, place: number): Promise<EvaluationResult>;
  /** Place of the evaluation file that is the validation file too; -1 where none is. */
  twin: number;
}

export interface Validation extends Evaluation {
  result: EvaluationResult | null;
}

interface EvaluationFile {
  id: string;
  name: string;
  rows: readonly TrainingRow[];
  /** UTF-8 bytes of all that the rows supervise. */
  bytes: number;
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
      return {
        ...file,
        rows,
        bytes: rows.reduce((sum, row) => sum + (row.bytes ?? 0), 0),
        sampled: sampleRows(rows, spec.config.evaluation.samples),
      };
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
  const twin = files.findIndex(({ path }) => path === spec.validationFile);
  return {
    hasValidation: validation.length > 0,
    validationRows: validation,
    shapes: layout?.shapes ?? [],
    generation: samplePlan(
      files.map(({ sampled }) => sampled),
      config.maxPositions,
    ),
    async validate({ score }, step) {
      const file = files[twin];
      if (file === undefined) return { ...(await evaluate(counted(score), passes(validation))), result: null };
      const { evaluation, result } = await scoreFile(file, score, step);
      return { ...evaluation, result };
    },
    async *files({ score, generator }, step) {
      for (const file of files) {
        const { result } = await scoreFile(file, score, step);
        onPass();
        const { sampled } = file;
        const samples = generator === null || sampled.length === 0 ? [] : await sample(generator, tokenizer, sampled);
        yield { ...result, samples };
      }
    },
    async file({ score }, step, place) {
      const file = files[place];
      if (file === undefined) throw new RangeError(`No evaluation file ${place} of ${files.length}.`);
      return (await scoreFile(file, score, step)).result;
    },
    twin,
  };

  async function scoreFile({ id, name, rows, bytes }: EvaluationFile, score: Scored['score'], step: number) {
    const text = { nats: 0 };
    const evaluation = await evaluate(addTextNats(text, counted(score), tokenizer), passes(rows));
    const isAnswered = rows.every(({ promptLength }) => promptLength > 0);
    const { supervisedTokens, loss, tokenAccuracy, exactMatch, klToBase } = evaluation;
    const result: EvaluationResult = {
      ...{ fileId: id, name, step, rows: rows.length, supervisedTokens, loss, tokenAccuracy },
      bitsPerByte: bytes === 0 ? null : text.nats / Math.LN2 / bytes,
      exactMatch: isAnswered ? exactMatch : null,
      ...(klToBase === undefined ? {} : { klToBase }),
      samples: [],
    };
    return { evaluation, result };
  }
}

/** The score, which adds up what the supervised text costs: tokens that end an answer are none of it. */
function addTextNats(sum: { nats: number }, score: Scored['score'], tokenizer: TextTokenizer): Scored['score'] {
  return (batch) => {
    const scores = score(batch);
    for (const [i, target] of supervised(batch).targets.entries())
      if (isTextToken(target, tokenizer)) sum.nats += scores.losses[i] ?? Number.NaN;
    return scores;
  };
}
