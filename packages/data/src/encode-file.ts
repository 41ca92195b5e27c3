import { setImmediate } from 'node:timers/promises';
import { AppError } from '@moraine/contract';
import { type DuplicateFinder, type Duplicates, findDuplicates } from './duplicates.js';
import { type DropReason, type Encoded, type EncodeOptions, encodeRow, type TrainingRow } from './encode-row.js';
import type { RowNote } from './label-row.js';
import { limitRow, rowMsFor } from './limit-row.js';
import { TimeUp } from './limit-time.js';
import { type Row, rowCharacters } from './row.js';
import type { TextTokenizer } from './tokenizer.js';
import { readRows } from './validate-file.js';

/** How many rows of a file something happened to, and the line of the first. */
export interface Noted {
  rows: number;
  firstLine: number;
}

/** What encoding a file did: nothing is cut, left out or changed without being counted. */
export interface EncodeReport {
  /** Rows of the file that were looked at. */
  rowsRead: number;
  /** The time was up before the file's end. */
  isPartial: boolean;
  /** Rows to train on. */
  rows: number;
  tokens: number;
  supervisedTokens: number;
  longestTokens: number;
  truncated: number;
  /** Rows that are not trained on, by reason. */
  dropped: Partial<Record<DropReason, Noted>>;
  /** Rows of the file that something else was done with. */
  notes: Partial<Record<RowNote, Noted>>;
  /** Rows of the file that repeat an earlier one word for word; they are trained on as often as they stand there. */
  duplicates: Duplicates;
  /** Rows of a file that is scored that are rows of a training file too; null when there are none. */
  inTraining: Noted | null;
  /** Rows of a training file that are rows of one before it too. */
  inEarlier: Noted | null;
  /** Line numbers of the first rows left out, at most 20. */
  droppedLines: number[];
}

export interface EncodeFileOptions extends EncodeOptions {
  /** The rows of the training files before it, for another file of their run: those that it has too are counted. */
  training?: readonly DuplicateFinder[];
  /** Whether this is a training file too. */
  isTraining?: boolean;
  /** Called between rows, some times a second; what it throws ends the encoding. */
  onProgress?: (rowsRead: number) => void;
  /** No further row is read after so many milliseconds. Default: the whole file is. */
  msMax?: number;
  /** No row may take longer. Default: by its length. */
  rowMsMax?: number;
}

/** Encoding gives way to whatever waits, a heartbeat or a cancel, this often. */
const PAUSE_MS = 200;

/**
 * Encodes a validated file, or as much of it as `msMax` allows.
 * @throws AppError `invalid_file` at a bad line, `user_data` when no row is left or a row is refused, naming the line.
 */
export async function encodeFile(
  file: string,
  tokenizer: TextTokenizer,
  options: EncodeFileOptions,
): Promise<{ rows: TrainingRow[]; report: EncodeReport; seen: DuplicateFinder }> {
  const rows: TrainingRow[] = [];
  const report: EncodeReport = {
    rowsRead: 0,
    isPartial: false,
    rows: 0,
    tokens: 0,
    supervisedTokens: 0,
    longestTokens: 0,
    truncated: 0,
    dropped: {},
    notes: {},
    duplicates: { rows: 0, first: null },
    inTraining: null,
    inEarlier: null,
    droppedLines: [],
  };
  const seen = findDuplicates();
  const { onProgress, training = [], isTraining = false, msMax = Number.POSITIVE_INFINITY, rowMsMax } = options;
  const begun = performance.now();
  let pausedAt = begun;
  let shared: Noted | null = null;
  /** Takes rows one after the other, and gives way between them. Ends with the rows, or when the time is up. */
  function* encodeAll(batch: Batch): Generator<void> {
    for (const { line, row } of batch.rows) {
      if (performance.now() - begun > msMax) {
        report.isPartial = true;
        return;
      }
      batch.line = line;
      const noted = new Set<RowNote>();
      for (const encoded of encodeAtLine(line, row, tokenizer, options)) {
        take(encoded, line, rows, report);
        for (const note of encoded.notes) noted.add(note);
        yield;
      }
      for (const note of noted) count(report.notes, note, line);
      seen.see(line, row);
      if (training.some((file) => file.has(row))) shared = addTo(shared, line);
      report.rowsRead += 1;
    }
  }
  for await (const batch of batchesOf(readRows(file))) {
    const rowMs = rowMsMax ?? rowMsFor(batch.letters);
    const work = encodeAll(batch);
    const goOn = () => atLine(batch, () => limitRow(tokenizer, rowMs + PAUSE_MS, () => runFor(PAUSE_MS, work)));
    for (let isDone = goOn(); ; isDone = goOn()) {
      if (performance.now() - pausedAt >= PAUSE_MS) {
        await setImmediate();
        onProgress?.(report.rowsRead);
        pausedAt = performance.now();
      }
      if (isDone) break;
    }
    if (report.isPartial) break;
  }
  report.duplicates = seen.found();
  report[isTraining ? 'inEarlier' : 'inTraining'] = shared;
  if (rows.length === 0 && !report.isPartial) throw nothingLeft(file, report, options.maxSeqLen);
  return { rows, report, seen };
}

/** Some rows of a file, and the line that is being encoded. */
interface Batch {
  rows: { line: number; row: Row }[];
  letters: number;
  line: number;
}

/** To watch over each row by itself would take a tenth of the time that it takes to encode. */
const BATCH_ROWS = 256;
const BATCH_LETTERS = 2 ** 18;

async function* batchesOf(all: AsyncIterable<{ line: number; row: Row }>): AsyncGenerator<Batch> {
  let batch: Batch = { rows: [], letters: 0, line: 0 };
  for await (const one of all) {
    batch.rows.push(one);
    batch.letters += rowCharacters(one.row);
    if (batch.rows.length < BATCH_ROWS && batch.letters < BATCH_LETTERS) continue;
    yield batch;
    batch = { rows: [], letters: 0, line: 0 };
  }
  yield batch;
}

/** Runs some of the work. Returns whether all of it is done. */
function runFor(ms: number, work: Iterator<void>): boolean {
  const until = performance.now() + ms;
  while (performance.now() < until) if (work.next().done) return true;
  return false;
}

/** Names the line in what a row that takes too long is refused with; `encodeAtLine` has named it in all other errors. */
function atLine<T>(batch: Batch, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof AppError && error.cause instanceof TimeUp) throw namingLine(batch.line, error);
    throw error;
  }
}

function take(encoded: Encoded, line: number, rows: TrainingRow[], report: EncodeReport): void {
  if ('dropped' in encoded) {
    count(report.dropped, encoded.dropped, line);
    if (report.droppedLines.length < 20) report.droppedLines.push(line);
    return;
  }
  const { row } = encoded;
  rows.push({ ...row, line });
  report.rows += 1;
  report.tokens += row.ids.length;
  report.supervisedTokens += row.supervisedTokens;
  report.longestTokens = Math.max(report.longestTokens, row.ids.length);
  if (row.isTruncated) report.truncated += 1;
}

function count<K extends string>(counts: Partial<Record<K, Noted>>, key: K, line: number): void {
  counts[key] = addTo(counts[key], line);
}

const addTo = (noted: Noted | null | undefined, line: number): Noted =>
  noted ? { ...noted, rows: noted.rows + 1 } : { rows: 1, firstLine: line };

function* encodeAtLine(line: number, row: Row, tokenizer: TextTokenizer, options: EncodeOptions): Generator<Encoded> {
  try {
    yield* encodeRow(row, tokenizer, options);
  } catch (error) {
    throw error instanceof AppError ? namingLine(line, error) : error;
  }
}

const namingLine = (line: number, error: AppError): AppError =>
  new AppError(error.code, `Line ${line}: ${error.message}`, {
    param: error.param ?? `line ${line}`,
    ...(error.hint === null ? {} : { hint: error.hint }),
    cause: error,
  });

const WHY: Record<DropReason, { why: string; param: string; hint: string }> = {
  over_length: {
    why: 'are longer than',
    param: 'max_seq_len',
    hint: 'Raise max_seq_len, shorten the rows, or set over_length to truncate.',
  },
  prompt_too_long: {
    why: 'have a prompt that alone fills',
    param: 'max_seq_len',
    hint: 'Raise max_seq_len or shorten the prompts.',
  },
  not_written: {
    why: "have an answer that the base's chat template does not write as it is, within",
    param: 'chat_template',
    hint: 'Compare the rows with what the template writes, or remove the template: the plain form is used then.',
  },
  nothing_supervised: {
    why: 'have no token to learn within',
    param: 'max_seq_len',
    hint: 'Raise max_seq_len or write longer answers.',
  },
};

function nothingLeft(file: string, { dropped }: EncodeReport, maxSeqLen: number): AppError {
  const [most] = (Object.entries(dropped) as [DropReason, Noted][]).sort(([, a], [, b]) => b.rows - a.rows);
  if (most === undefined) {
    return new AppError('user_data', `${file} holds no rows.`, { hint: 'Write one JSON object a line.' });
  }
  const [reason, { rows, firstLine }] = most;
  const { why, param, hint } = WHY[reason];
  const all = Object.values(dropped).reduce((sum, noted) => sum + noted.rows, 0);
  const message = `None of ${all} rows can be trained on: ${rows} ${why} ${maxSeqLen} tokens (first in line ${firstLine}).`;
  return new AppError('user_data', message, { param, hint });
}
