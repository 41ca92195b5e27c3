import { AppError } from '@moraine/contract';
import { describeReport } from './describe-report.js';
import type { DuplicateFinder } from './duplicates.js';
import { type EncodeFileOptions, type EncodeReport, encodeFile } from './encode-file.js';
import type { TrainingRow } from './encode-row.js';
import type { TextTokenizer } from './tokenizer.js';

export interface EncodedFile {
  rows: TrainingRow[];
  report: EncodeReport;
  /** What is cut, left out or changed, a sentence each, with the file in front. */
  warnings: string[];
  /** What the file has, for the other files of its run. */
  seen: DuplicateFinder;
}

/**
 * Encodes one file of a run; `label` names it in warnings and errors.
 * @throws AppError as `encodeFile` does.
 */
export async function encodeNamed(
  label: string,
  path: string,
  tokenizer: TextTokenizer,
  options: EncodeFileOptions,
): Promise<EncodedFile> {
  try {
    const { rows, report, seen } = await encodeFile(path, tokenizer, options);
    return { rows, report, seen, warnings: describeReport(report).map((sentence) => `${label}: ${sentence}`) };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const { param, hint } = error;
    throw new AppError(error.code, `${label}: ${error.message}`, {
      ...(param === null ? {} : { param }),
      ...(hint === null ? {} : { hint }),
      cause: error,
    });
  }
}
