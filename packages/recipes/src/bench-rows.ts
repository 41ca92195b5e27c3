import { AppError } from '@moraine/contract';
import { createRowOrder, type EncodedRow, encodeFile, loadBaseTokenizer } from '@moraine/data';
import { readBaseConfig } from './base.js';
import { refuseNoFile } from './plan-run.js';

export interface BenchRowsOptions {
  baseDir: string;
  /** JSONL rows, or null for random tokens. */
  dataFile: string | null;
  /** Rows a step. */
  batch: number;
  /** Tokens a row: all of them where they are random, at most where they come from a file. */
  seq: number;
  seed: number;
}

/** What a benchmark trains on, so that another program can be given exactly the same. */
export interface BenchRows {
  rows: EncodedRow[];
  /** Row numbers of a step, from 1. */
  rowsOf(step: number): number[];
  padId: number;
}

/** Random rows, the same ones every step; or the rows of a file in the order that a run of the same seed shows them. */
export async function benchRows(options: BenchRowsOptions): Promise<BenchRows> {
  const { baseDir, dataFile, batch, seq, seed } = options;
  const { vocabSize, maxPositions } = readBaseConfig(baseDir);
  if (seq > maxPositions) {
    throw new AppError('invalid_value', `--seq is ${seq}, but the base reads at most ${maxPositions} tokens.`, {
      hint: `Take at most ${maxPositions}.`,
    });
  }
  if (dataFile === null) {
    const rows = denseRows(vocabSize, batch, seq, seed);
    const all = rows.map((_, i) => i);
    return { rows, rowsOf: () => all, padId: 0 };
  }
  refuseNoFile(dataFile);
  const tokenizer = await loadBaseTokenizer(baseDir, vocabSize);
  const { rows } = await encodeFile(dataFile, tokenizer, { maxSeqLen: seq });
  return { rows, rowsOf: createRowOrder(rows.length, seed, batch), padId: tokenizer.padId };
}

/** Rows of random tokens, every one but the first of a row supervised. */
function denseRows(vocabSize: number, batch: number, seq: number, seed: number): EncodedRow[] {
  let state = seed ^ 0x2545f491 || 1;
  const next = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % vocabSize;
  };
  return Array.from({ length: batch }, () => {
    const ids = Array.from({ length: seq }, next);
    return { ids, labels: ids };
  });
}
