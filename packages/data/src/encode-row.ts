import { AppError, IGNORED } from '@moraine/contract';
import type { EncodedRow } from './batch.js';
import { type LabelledRow, labelRow, type PromptFormat, type RowNote } from './label-row.js';
import type { Row } from './row.js';
import { bytesOfTokens } from './text-bytes.js';
import type { TextTokenizer } from './tokenizer.js';

export interface EncodeOptions {
  /** Longest row in tokens. */
  maxSeqLen: number;
  /** What happens to longer rows: cut at the end, left out, or an error. Default truncate. */
  overLength?: 'truncate' | 'drop' | 'error';
  /** Default auto. */
  promptFormat?: PromptFormat;
  /** Whether the bytes of what a row supervises are counted, for rows that are scored. Default false. */
  countsBytes?: boolean;
}

/** An encoded row and what became of it. */
export interface TrainingRow extends EncodedRow {
  /** Tokens before the first supervised one. */
  promptLength: number;
  supervisedTokens: number;
  isTruncated: boolean;
  /** The line of its file; absent for a row that is of none. */
  line?: number;
  /** UTF-8 bytes of the text that is supervised; absent unless they were asked for. */
  bytes?: number;
}

/**
 * Why a row is not trained on: it is too long and such rows are left out; its prompt alone fills the length; the template does not write its
 * answers as they are; or nothing of it is learned for another reason.
 */
export type DropReason = 'over_length' | 'prompt_too_long' | 'not_written' | 'nothing_supervised';

/** What became of a row of a file, or of one answer of it. */
export type Encoded = { notes: ReadonlySet<RowNote> } & (
  | { row: TrainingRow }
  | { dropped: DropReason; length: number }
);

/**
 * Tokens and loss mask of a row, at most maxSeqLen long, or the reason why it cannot be trained on; several where each answer makes a row
 * of its own.
 * @throws AppError `user_data` for a row that is too long under `error`, or that the chat template refuses.
 */
export function* encodeRow(row: Row, tokenizer: TextTokenizer, options: EncodeOptions): Generator<Encoded> {
  for (const labelled of labelRow(row, tokenizer, options.promptFormat)) {
    const fitted = fitRow(labelled, options);
    if (options.countsBytes !== true || 'dropped' in fitted) yield fitted;
    else yield { ...fitted, row: { ...fitted.row, bytes: supervisedBytes(labelled, fitted.row, tokenizer) } };
  }
}

function supervisedBytes({ ids, texts }: LabelledRow, { labels }: TrainingRow, tokenizer: TextTokenizer): number {
  const counts = bytesOfTokens(ids, texts, tokenizer);
  return labels.reduce((sum, label, i) => (i > 0 && label !== IGNORED ? sum + (counts[i] ?? 0) : sum), 0);
}

/** What of a labelled row is trained on, at most maxSeqLen tokens. @throws AppError `user_data` as `encodeRow` does. */
export function fitRow(
  { ids, labels, notes }: LabelledRow,
  { maxSeqLen, overLength = 'truncate' }: EncodeOptions,
): Encoded {
  const { length } = ids;
  const isTooLong = length > maxSeqLen;
  if (isTooLong && overLength === 'error') {
    throw new AppError('user_data', `The row has ${length} tokens, max_seq_len is ${maxSeqLen}.`, {
      param: 'over_length',
      hint: 'Raise max_seq_len, shorten the row, or set over_length to truncate or drop.',
    });
  }
  if (isTooLong && overLength === 'drop') return { notes, dropped: 'over_length', length };
  const kept = { ids: ids.slice(0, maxSeqLen), labels: labels.slice(0, maxSeqLen) };
  // The first token of a row has nothing before it and is never a target.
  const supervisedTokens = kept.labels.filter((label, i) => i > 0 && label !== IGNORED).length;
  if (supervisedTokens === 0) return { notes, dropped: whyNothing(labels, notes), length };
  const promptLength = kept.labels.findIndex((label) => label !== IGNORED);
  return { notes, row: { ...kept, promptLength, supervisedTokens, isTruncated: isTooLong } };
}

function whyNothing(labels: readonly number[], notes: ReadonlySet<RowNote>): DropReason {
  if (labels.some((label, i) => i > 0 && label !== IGNORED)) return 'prompt_too_long';
  return notes.has('not_written') ? 'not_written' : 'nothing_supervised';
}
