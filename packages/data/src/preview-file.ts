import { AppError, explain, IGNORED } from '@moraine/contract';
import { type DropReason, type EncodeOptions, fitRow } from './encode-row.js';
import { type LabelledRow, labelRow, type RowNote } from './label-row.js';
import { type Lengths, measureLengths } from './lengths.js';
import { limitRow } from './limit-row.js';
import type { Row } from './row.js';
import type { TextTokenizer } from './tokenizer.js';
import { readRows } from './validate-file.js';

export interface PreviewToken {
  id: number;
  text: string;
  /** The model is trained to write it. */
  isLearned: boolean;
}

/** A row as a run reads it; where each answer makes a row of its own there are several of a line. */
export interface PreviewRow {
  line: number;
  /** Its first tokens, at most `tokensMax`, and fewer where the rows before it took up what all rows may have. */
  tokens: PreviewToken[];
  /** All its tokens, before it is cut. */
  length: number;
  /** Tokens that are trained on: the rest is cut, or all of it left out. */
  kept: number;
  learned: number;
  dropped: DropReason | null;
  notes: RowNote[];
  /** Why a run would refuse the row. */
  problem: string | null;
}

export interface Preview {
  rows: PreviewRow[];
  /** There are rows behind these. */
  hasMore: boolean;
  lengths: Lengths;
  /** Rows of the file whose lengths were looked at. */
  rowsRead: number;
  /** The time was up before the file's end. */
  isPartial: boolean;
}

export interface PreviewOptions extends EncodeOptions {
  /** Lines behind this one are shown. */
  after: number;
  /** So many lines are shown. */
  lines: number;
  /** Tokens of a row that are shown; of all rows together, so many for each line. */
  tokensMax: number;
  /** For the lengths of the whole file; the lines that are shown are shown whatever it takes. */
  msMax: number;
  /** No row may take longer. Default 15 s. */
  rowMsMax?: number;
}

const ROW_MS = 15_000;

/**
 * Rows of a file as a run with this tokenizer reads them, token by token with what is learned, and how long all of them are.
 * @throws AppError `invalid_file` at a bad line.
 */
export async function previewFile(file: string, tokenizer: TextTokenizer, options: PreviewOptions): Promise<Preview> {
  const begun = performance.now();
  const preview: Omit<Preview, 'lengths'> = { rows: [], hasMore: false, rowsRead: 0, isPartial: false };
  const lengths: number[] = [];
  let linesLeft = options.lines;
  // A long conversation can make as many rows as it has answers.
  let tokensLeft = options.lines * options.tokensMax;
  for await (const { line, row } of readRows(file)) {
    const isBehind = line > options.after;
    const isShown = isBehind && linesLeft > 0;
    preview.hasMore ||= isBehind && !isShown;
    preview.isPartial ||= !isShown && performance.now() - begun > options.msMax;
    if (preview.isPartial && preview.hasMore) break;
    if (preview.isPartial && !isShown) continue;
    preview.rowsRead += 1;
    if (isShown) {
      linesLeft -= 1;
      for (const shown of previewAtLine(line, row, tokenizer, options)) {
        const tokens = shown.tokens.slice(0, tokensLeft);
        tokensLeft -= tokens.length;
        preview.rows.push({ ...shown, tokens });
      }
    }
    lengths.push(...lengthsAtLine(line, row, tokenizer, options));
  }
  return { ...preview, lengths: measureLengths(lengths) };
}

const previewAtLine = (line: number, row: Row, tokenizer: TextTokenizer, options: PreviewOptions): PreviewRow[] =>
  limitLine(line, tokenizer, options, () => [...previewRow(line, row, tokenizer, options)]);

const lengthsAtLine = (line: number, row: Row, tokenizer: TextTokenizer, options: PreviewOptions): number[] =>
  limitLine(line, tokenizer, options, () => lengthsOf(row, tokenizer, options));

/** Who looks at rows does not wait for long. @throws AppError `user_data` naming the line that takes too long. */
function limitLine<T>(line: number, tokenizer: TextTokenizer, { rowMsMax }: PreviewOptions, work: () => T): T {
  try {
    return limitRow(tokenizer, rowMsMax ?? ROW_MS, work);
  } catch (error) {
    if (!(error instanceof AppError) || error.hint === null) throw error;
    throw new AppError(error.code, `Line ${line}: ${error.message}`, {
      param: `line ${line}`,
      hint: error.hint,
      cause: error,
    });
  }
}

/** Tokens of what a row makes; nothing of one that a run would refuse. */
function lengthsOf(row: Row, tokenizer: TextTokenizer, { promptFormat }: PreviewOptions): number[] {
  try {
    return [...labelRow(row, tokenizer, promptFormat)].map(({ ids }) => ids.length);
  } catch (error) {
    if (error instanceof AppError) return [];
    throw error;
  }
}

function* previewRow(line: number, row: Row, tokenizer: TextTokenizer, options: PreviewOptions): Generator<PreviewRow> {
  try {
    for (const labelled of labelRow(row, tokenizer, options.promptFormat))
      yield previewLabelled(line, labelled, tokenizer, options);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    yield { line, tokens: [], length: 0, kept: 0, learned: 0, dropped: null, notes: [], problem: explain(error) };
  }
}

function previewLabelled(
  line: number,
  labelled: LabelledRow,
  tokenizer: TextTokenizer,
  options: PreviewOptions,
): PreviewRow {
  const { ids, labels, notes } = labelled;
  const shownIds = ids.slice(0, options.tokensMax);
  const texts = tokenizer.pieces(shownIds);
  // The first token of a row has nothing before it and is never a target.
  const isLearned = (i: number): boolean => i > 0 && labels[i] !== IGNORED;
  const tokens = shownIds.map((id, i) => ({ id, text: texts[i] ?? '', isLearned: isLearned(i) }));
  const row = { line, tokens, length: ids.length, notes: [...notes] };
  try {
    const fitted = fitRow(labelled, options);
    if ('dropped' in fitted) return { ...row, kept: 0, learned: 0, dropped: fitted.dropped, problem: null };
    const { row: kept } = fitted;
    return { ...row, kept: kept.ids.length, learned: kept.supervisedTokens, dropped: null, problem: null };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return { ...row, kept: 0, learned: 0, dropped: null, problem: explain(error) };
  }
}
