import { AppError, type Batch } from '@moraine/contract';
import {
  type EncodedRow,
  type EncodeReport,
  encodeFile,
  layOut,
  layoutCost,
  loadBaseTokenizer,
  planLayout,
} from '@moraine/data';
import { type Device, device, type NumericMode } from '@moraine/engine';
import { createModel, supervised, type TokenScores } from '@moraine/lm';
import { loadBase } from './base.js';
import { refuseNoFile } from './plan-run.js';
import { readAdapterAt } from './read-adapter.js';
import { checkWeights } from './weight-bytes.js';

export interface ScoreOptions {
  baseDir: string;
  adapterDir: string | null;
  /** Share of the adapter's update, 0 to 1; default 1. */
  lambda?: number;
  file: string;
  mode: NumericMode;
  /** Longest row in tokens; longer ones are cut. Default: the context of the base. */
  maxSeqLen?: number;
  /** Called after every pass. */
  onProgress?(rowsDone: number, rows: number): void;
}

export interface FileScore {
  rows: number;
  /** Tokens that were scored: every one after the first of its row. */
  tokens: number;
  supervisedTokens: number;
  natsPerToken: number;
  natsPerSupervisedToken: number;
  /** Share of supervised tokens that are the most likely one. */
  tokenAccuracy: number;
  /** What was cut or left out. */
  report: EncodeReport;
  device: Device;
}

/** Rows of one pass through the layout, and tokens of a micro-batch. */
const ROWS_PER_PASS = 64;
const TOKENS_MAX = 4096;

/**
 * Mean negative log likelihood of a file's tokens under a base, with an adapter or without.
 * @throws AppError `not_found` where `file` is none, `invalid_file` at a bad line, `user_data` when no row is left, `nan_loss` when the loss is not a number.
 */
export async function scoreFile(options: ScoreOptions): Promise<FileScore> {
  const { baseDir, adapterDir, file, mode, onProgress } = options;
  refuseNoFile(file);
  const base = loadBase(baseDir);
  await checkWeights(base.weights);
  const { maxPositions } = base.config;
  const tokenizer = await loadBaseTokenizer(baseDir, base.config.vocabSize);
  const tuned = adapterDir === null ? undefined : readAdapterAt(adapterDir, base, options.lambda ?? 1);
  const { rows, report } = await encodeFile(file, tokenizer, { maxSeqLen: options.maxSeqLen ?? maxPositions });
  const passes = Array.from({ length: Math.ceil(rows.length / ROWS_PER_PASS) }, (_, i) =>
    rows.slice(i * ROWS_PER_PASS, (i + 1) * ROWS_PER_PASS),
  );
  const computed = device();
  const layout = planLayout({
    lengths: Int32Array.from(rows, ({ ids }) => ids.length),
    steps: passes.map((pass, i) => pass.map((_, row) => i * ROWS_PER_PASS + row)),
    packing: true,
    cost: layoutCost(base.config, computed.kind),
    passes: 1,
    tokensMax: TOKENS_MAX,
  });
  const model = await createModel({
    config: base.config,
    weights: base.weights,
    ...(tuned === undefined ? {} : { tuned }),
    mode,
    evaluation: layout.shapes,
  });
  const sums: Sums = { nats: 0, tokens: 0, supervisedNats: 0, supervisedTokens: 0, correct: 0 };
  try {
    for (const [i, pass] of passes.entries()) {
      const learned = layOut(pass, layout, tokenizer.padId);
      const whole = layOut(pass.map(everyToken), layout, tokenizer.padId);
      for (const [b, batch] of whole.entries()) {
        addScores(sums, batch, learned[b]?.labels, model.score(batch));
        await new Promise(setImmediate);
      }
      onProgress?.(Math.min(rows.length, (i + 1) * ROWS_PER_PASS), rows.length);
    }
  } finally {
    model.dispose();
  }
  if (!Number.isFinite(sums.nats)) throw notANumber(file, sums.nats);
  return {
    rows: rows.length,
    tokens: sums.tokens,
    supervisedTokens: sums.supervisedTokens,
    natsPerToken: sums.nats / sums.tokens,
    natsPerSupervisedToken: sums.supervisedNats / sums.supervisedTokens,
    tokenAccuracy: sums.correct / sums.supervisedTokens,
    report,
    device: computed,
  };
}

const notANumber = (file: string, nats: number): AppError =>
  new AppError('nan_loss', `The model's loss on ${file} is ${nats}.`, {
    hint: 'Every weight is a number, but some are so large that their products are not: the run that made them diverged. Take an earlier checkpoint.',
  });

interface Sums {
  nats: number;
  tokens: number;
  supervisedNats: number;
  supervisedTokens: number;
  correct: number;
}

/** Adds the scores of a batch whose every token is supervised; `labels` are those of the same batch as its rows are learned. */
function addScores(sums: Sums, batch: Batch, labels: Int32Array | undefined, { losses, best }: TokenScores): void {
  const { positions, targets } = supervised(batch);
  sums.tokens += positions.length;
  for (const [at, position] of positions.entries()) {
    const loss = losses[at] ?? Number.NaN;
    sums.nats += loss;
    if ((labels?.[position + 1] ?? -1) < 0) continue;
    sums.supervisedNats += loss;
    sums.supervisedTokens += 1;
    if (best[at] === targets[at]) sums.correct += 1;
  }
}

/** The row with every token supervised; its place in a layout depends on its length alone. */
const everyToken = ({ ids }: EncodedRow): EncodedRow => ({ ids, labels: ids });
