import {
  type EncodedRow,
  type EncodeReport,
  encodeFile,
  layOut,
  layoutCost,
  loadTokenizer,
  planLayout,
} from '@moraine/data';
import { type Device, device, type NumericMode } from '@moraine/engine';
import { createModel, supervised } from '@moraine/lm';
import { loadBase } from './base.js';
import { refuseNoFile } from './plan-run.js';
import { readAdapter } from './read-adapter.js';

export interface ScoreOptions {
  baseDir: string;
  adapterDir: string | null;
  file: string;
  mode: NumericMode;
  /** Longest row in tokens; longer ones are cut. Default: the context of the base. */
  maxSeqLen?: number;
  /** Told after every pass. */
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
 * @throws AppError `not_found` where `file` is none, `invalid_file` at a bad line, `user_data` when no row is left.
 */
export async function scoreFile(options: ScoreOptions): Promise<FileScore> {
  const { baseDir, adapterDir, file, mode, onProgress } = options;
  refuseNoFile(file);
  const base = loadBase(baseDir);
  const { maxPositions } = base.config;
  const tokenizer = await loadTokenizer(baseDir);
  const tuned = adapterDir === null ? undefined : readAdapter(adapterDir, base.config);
  const { rows, report } = await encodeFile(file, tokenizer, { maxSeqLen: options.maxSeqLen ?? maxPositions });
  const passes = Array.from({ length: Math.ceil(rows.length / ROWS_PER_PASS) }, (_, i) =>
    rows.slice(i * ROWS_PER_PASS, (i + 1) * ROWS_PER_PASS),
  );
  const found = device();
  const layout = planLayout({
    lengths: Int32Array.from(rows, ({ ids }) => ids.length),
    steps: passes.map((pass, i) => pass.map((_, row) => i * ROWS_PER_PASS + row)),
    packing: true,
    cost: layoutCost(base.config, found.kind),
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
  const total = { all: 0, tokens: 0, supervised: 0, supervisedTokens: 0, correct: 0 };
  try {
    for (const [i, pass] of passes.entries()) {
      const asked = layOut(pass, layout, tokenizer.padId);
      const whole = layOut(pass.map(everyToken), layout, tokenizer.padId);
      for (const [b, batch] of whole.entries()) {
        const { positions, targets } = supervised(batch);
        const { losses, best } = model.score(batch);
        for (const [at, position] of positions.entries()) {
          const loss = losses[at] ?? Number.NaN;
          total.all += loss;
          if ((asked[b]?.labels[position + 1] ?? -1) < 0) continue;
          total.supervised += loss;
          total.supervisedTokens += 1;
          if (best[at] === targets[at]) total.correct += 1;
        }
        total.tokens += positions.length;
        await new Promise(setImmediate);
      }
      onProgress?.(Math.min(rows.length, (i + 1) * ROWS_PER_PASS), rows.length);
    }
  } finally {
    model.dispose();
  }
  return {
    rows: rows.length,
    tokens: total.tokens,
    supervisedTokens: total.supervisedTokens,
    natsPerToken: total.all / total.tokens,
    natsPerSupervisedToken: total.supervised / total.supervisedTokens,
    tokenAccuracy: total.correct / total.supervisedTokens,
    report,
    device: found,
  };
}

/** The row with every token supervised; its place in a layout depends on its length alone. */
const everyToken = ({ ids }: EncodedRow): EncodedRow => ({ ids, labels: ids });
