import type { RunConfig } from '@moraine/contract';
import { type DuplicateFinder, encodeNamed, type TextTokenizer, type TrainingRow } from '@moraine/data';
import type { Control, Emit } from './control.js';

/** Encodes one file of a run; `label` names it in messages. */
export type Encode = (label: string, path: string) => Promise<TrainingRow[]>;

/** A run that was stopped while its files were encoded. */
export class StoppedEncoding extends Error {}

/** A sign of life this often. */
const PROGRESS_MS = 10_000;

export interface EncodeInput {
  config: Pick<RunConfig, 'max_seq_len' | 'over_length'>;
  tokenizer: TextTokenizer;
  emit: Emit;
  control: Control;
}

/**
 * How a run reads its files, the training file first: what is cut, left out or changed is said, whichever file it is, and which rows stand
 * there twice, or in the training file too.
 * The result throws AppError `user_data`, `invalid_file` or `invalid_base`, each naming the file; StoppedEncoding when the run is to stop.
 */
export function createEncode({ config, tokenizer, emit, control }: EncodeInput): Encode {
  const limits = { maxSeqLen: config.max_seq_len, overLength: config.over_length };
  const say = (level: 'info' | 'warn', message: string, data: object): void =>
    emit({ type: 'message', level, at: Date.now(), message, data: { ...data } });
  let training: DuplicateFinder | undefined;
  return async (label, path) => {
    let saidAt = performance.now();
    const onProgress = (rowsRead: number): void => {
      if (control.stopRequested() !== null) throw new StoppedEncoding();
      if (performance.now() - saidAt < PROGRESS_MS) return;
      saidAt = performance.now();
      say('info', `${label}: ${rowsRead} rows are encoded so far.`, { rows_read: rowsRead });
    };
    const options = { ...limits, onProgress, training };
    const { rows, report, warnings, seen } = await encodeNamed(label, path, tokenizer, options);
    training ??= seen;
    for (const message of warnings) say('warn', message, report);
    return rows;
  };
}

/** The day that a template takes for today; runs of earlier versions took the day they were computed on. */
export const templateDay = ({ template_date: date }: RunConfig): Date =>
  date === undefined ? new Date() : new Date(date);
