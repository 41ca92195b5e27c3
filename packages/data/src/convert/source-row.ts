import { AppError } from '@moraine/contract';

/** A row of a file that is converted. */
export interface SourceRow {
  /** Where it begins. */
  line: number;
  /** Its JSON, in one line. */
  written: string;
  /** Keys that it has and that are not written, because they are null. */
  nulls?: readonly string[];
}

export const badFile = (line: number, message: string, hint: string): AppError =>
  new AppError('invalid_file', `Line ${line}: ${message}`, { param: `line ${line}`, hint });
