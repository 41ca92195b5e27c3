import { setImmediate } from 'node:timers/promises';
import { AppError, IGNORED } from '@moraine/contract';
import type { EncodedRow } from './batch.js';
import { type AnswerSpan, renderWithSpans } from './chat-template.js';
import type { Row } from './row.js';
import type { TextTokenizer } from './tokenizer.js';
import { readRows } from './validate-file.js';

export interface EncodeOptions {
  /** Longest row in tokens. */
  maxSeqLen: number;
  /** What happens to longer rows: cut at the end, left out, or an error. Default truncate. */
  overLength?: 'truncate' | 'drop' | 'error';
  /** How prompt/completion rows are written: as a user and an assistant turn of the base's chat template (`template`), end to end (`raw`), or the first where the base has a template (`auto`, default). */
  promptFormat?: 'auto' | 'template' | 'raw';
}

/** An encoded row and what became of it. */
export interface TrainingRow extends EncodedRow {
  /** Tokens before the first supervised one. */
  promptLength: number;
  supervisedTokens: number;
  isTruncated: boolean;
}

/** Why a row is not trained on. */
export type DropReason = 'over_length' | 'nothing_supervised';

/** Ids and labels of a row before its length is looked at: prompts masked, answers with their end token supervised, plain text all. */
export function labelRow(
  row: Row,
  tokenizer: TextTokenizer,
  promptFormat: EncodeOptions['promptFormat'] = 'auto',
): EncodedRow {
  switch (row.format) {
    case 'text': {
      const ids = withEnd(row.text, tokenizer);
      return { ids, labels: [...ids] };
    }
    case 'chat': {
      const { text, spans } = renderWithSpans(tokenizer.chatTemplate, row.messages, row.tools);
      return labelSpans(text, spans, tokenizer);
    }
    case 'prompt_completion': {
      const { prompt, completion } = row;
      if (promptFormat === 'template' || (promptFormat === 'auto' && tokenizer.hasChatTemplate)) {
        const { text, spans } = renderWithSpans(tokenizer.chatTemplate, [
          { role: 'user', content: prompt },
          { role: 'assistant', content: completion },
        ]);
        return labelSpans(text, spans, tokenizer);
      }
      const ids = withEnd(prompt + completion, tokenizer);
      const promptLength = commonLength(tokenizer.encode(prompt, { addSpecialTokens: true }), ids);
      return { ids, labels: ids.map((id, i) => (i < promptLength ? IGNORED : id)) };
    }
    default:
      return row satisfies never;
  }
}

/** A text's tokens with one end token behind them; some tokenizers, and some texts, bring it themselves. */
function withEnd(text: string, tokenizer: TextTokenizer): number[] {
  const ids = tokenizer.encode(text, { addSpecialTokens: true });
  return ids[ids.length - 1] === tokenizer.eosId ? ids : [...ids, tokenizer.eosId];
}

/** How many tokens two encodings share from the start. A token that crosses a boundary belongs to what follows it. */
function commonLength(a: readonly number[], b: readonly number[]): number {
  let n = 0;
  while (n < a.length && n < b.length && a[n] === b[n]) n += 1;
  return n;
}

/**
 * Supervises each answer and the first special token after its text (the token that ends the turn); what the template writes
 * after that, a line break say, is not learned.
 */
function labelSpans(text: string, spans: readonly AnswerSpan[], tokenizer: TextTokenizer): EncodedRow {
  const ids = tokenizer.encode(text);
  const labels = ids.map(() => IGNORED);
  const tokensUntil = (position: number): number =>
    position === text.length ? ids.length : commonLength(tokenizer.encode(text.slice(0, position)), ids);
  const nextSpecial = (from: number): number => {
    const found = ids.findIndex((id, i) => i >= from && tokenizer.specialIds.has(id));
    return found < 0 ? ids.length : found;
  };
  for (const { start, contentEnd, end } of spans) {
    const first = tokensUntil(start);
    const last = tokensUntil(end);
    let stop = nextSpecial(first);
    // More than one special token in the turn: the answer itself may hold some, so look behind its text only.
    if (stop < last && nextSpecial(stop + 1) < last) stop = nextSpecial(tokensUntil(contentEnd));
    for (let i = first; i < Math.min(stop + 1, last); i += 1) labels[i] = ids[i] as number;
  }
  return { ids, labels };
}

/**
 * Tokens and loss mask of a row, at most maxSeqLen long, or the reason why it cannot be trained on.
 * @throws AppError `user_data` for a row that is too long under `error`, or that the chat template refuses.
 */
export function encodeRow(
  row: Row,
  tokenizer: TextTokenizer,
  { maxSeqLen, overLength = 'truncate', promptFormat = 'auto' }: EncodeOptions,
): { row: TrainingRow } | { dropped: DropReason; length: number } {
  const { ids, labels } = labelRow(row, tokenizer, promptFormat);
  const isTooLong = ids.length > maxSeqLen;
  if (isTooLong && overLength === 'error') {
    throw new AppError('user_data', `The row has ${ids.length} tokens, max_seq_len is ${maxSeqLen}.`, {
      param: 'over_length',
      hint: 'Raise max_seq_len, shorten the row, or set over_length to truncate or drop.',
    });
  }
  if (isTooLong && overLength === 'drop') return { dropped: 'over_length', length: ids.length };
  const kept = { ids: ids.slice(0, maxSeqLen), labels: labels.slice(0, maxSeqLen) };
  // The first token of a row has nothing before it and is never a target.
  const supervisedTokens = kept.labels.filter((label, i) => i > 0 && label !== IGNORED).length;
  if (supervisedTokens === 0) return { dropped: 'nothing_supervised', length: ids.length };
  const promptLength = kept.labels.findIndex((label) => label !== IGNORED);
  return { row: { ...kept, promptLength, supervisedTokens, isTruncated: isTooLong } };
}

/** What encoding a file did: nothing is cut or left out without being counted. */
export interface EncodeReport {
  /** Rows to train on. */
  rows: number;
  tokens: number;
  supervisedTokens: number;
  longestTokens: number;
  truncated: number;
  /** Rows left out because they are too long (`overLength: 'drop'`). */
  droppedOverLength: number;
  /** Rows left out because no answer token is left within maxSeqLen. */
  droppedNothingSupervised: number;
  /** Line numbers of the first rows left out, at most 20. */
  droppedLines: number[];
}

/**
 * Encodes a validated file.
 * @throws AppError `invalid_file` at a bad line, `user_data` when no row is left or a row is refused, naming the line.
 */
export async function encodeFile(
  file: string,
  tokenizer: TextTokenizer,
  options: EncodeOptions,
): Promise<{ rows: TrainingRow[]; report: EncodeReport }> {
  const rows: TrainingRow[] = [];
  const report: EncodeReport = {
    rows: 0,
    tokens: 0,
    supervisedTokens: 0,
    longestTokens: 0,
    truncated: 0,
    droppedOverLength: 0,
    droppedNothingSupervised: 0,
    droppedLines: [],
  };
  for await (const { line, row } of readRows(file)) {
    const encoded = encodeAtLine(line, row, tokenizer, options);
    if ('dropped' in encoded) {
      if (encoded.dropped === 'over_length') report.droppedOverLength += 1;
      else report.droppedNothingSupervised += 1;
      if (report.droppedLines.length < 20) report.droppedLines.push(line);
      continue;
    }
    rows.push(encoded.row);
    report.rows += 1;
    if (report.rows % 256 === 0) await setImmediate(); // a heartbeat or a cancel may be waiting
    report.tokens += encoded.row.ids.length;
    report.supervisedTokens += encoded.row.supervisedTokens;
    report.longestTokens = Math.max(report.longestTokens, encoded.row.ids.length);
    if (encoded.row.isTruncated) report.truncated += 1;
  }
  if (rows.length === 0) {
    const left = report.droppedOverLength + report.droppedNothingSupervised;
    if (left === 0) {
      throw new AppError('user_data', `${file} holds no rows.`, { hint: 'Write one JSON object a line.' });
    }
    throw new AppError('user_data', `None of ${left} rows can be trained on within ${options.maxSeqLen} tokens.`, {
      param: 'max_seq_len',
      hint: 'Raise max_seq_len or shorten the prompts.',
    });
  }
  return { rows, report };
}

function encodeAtLine(
  line: number,
  row: Row,
  tokenizer: TextTokenizer,
  options: EncodeOptions,
): ReturnType<typeof encodeRow> {
  try {
    return encodeRow(row, tokenizer, options);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    throw new AppError(error.code, `Line ${line}: ${error.message}`, {
      param: error.param ?? `line ${line}`,
      ...(error.hint === null ? {} : { hint: error.hint }),
      cause: error,
    });
  }
}
