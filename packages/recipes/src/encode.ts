import type { RunConfig, TrainSpec } from '@moraine/contract';
import { describeShare, mixShares } from '@moraine/contract/plan';
import { type DuplicateFinder, encodeNamed, type TextTokenizer, type TrainingRow } from '@moraine/data';
import type { Control, Emit } from './control.js';

/** How a run reads its files; `label` names one in messages. */
export interface Encode {
  /** A file that is trained on; these come before the others. */
  training(label: string, path: string): Promise<TrainingRow[]>;
  /** A file that is scored. */
  scored(label: string, path: string): Promise<TrainingRow[]>;
}

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
 * How a run reads its files: what is cut, left out or changed is said, whichever file it is, and which rows stand
 * there twice, or in a training file too.
 * Both throw AppError `user_data`, `invalid_file` or `invalid_base`, each naming the file; StoppedEncoding when the run is to stop.
 */
export function createEncode({ config, tokenizer, emit, control }: EncodeInput): Encode {
  const limits = { maxSeqLen: config.max_seq_len, overLength: config.over_length };
  const say = (level: 'info' | 'warn', message: string, data: object): void =>
    emit({ type: 'message', level, at: Date.now(), message, data: { ...data } });
  const training: DuplicateFinder[] = [];
  const encode = async (label: string, path: string, isTraining: boolean): Promise<TrainingRow[]> => {
    let saidAt = performance.now();
    control.progress?.('encoding');
    const onProgress = (rowsRead: number): void => {
      control.progress?.('encoding');
      if (control.stopRequested() !== null) throw new StoppedEncoding();
      if (performance.now() - saidAt < PROGRESS_MS) return;
      saidAt = performance.now();
      say('info', `${label}: ${rowsRead} rows are encoded so far.`, { rows_read: rowsRead });
    };
    const options = { ...limits, onProgress, training, isTraining, countsBytes: !isTraining };
    const { rows, report, warnings, seen } = await encodeNamed(label, path, tokenizer, options);
    if (isTraining) training.push(seen);
    for (const message of warnings) say('warn', message, report);
    return rows;
  };
  return {
    training: (label, path) => encode(label, path, true),
    scored: (label, path) => encode(label, path, false),
  };
}

/** Encodes the training file and those that are mixed into it; rows of the role source are marked. */
export async function encodeTraining(
  encode: Encode,
  trainingFile: string,
  { data_mix: mix }: Pick<RunConfig, 'data_mix'>,
  mixFiles: TrainSpec['mixFiles'] = [],
): Promise<TrainingRow[][]> {
  const files = [await encode.training('Training file', trainingFile)];
  for (const [i, { name, path }] of mixFiles.entries()) {
    const rows = await encode.training(mixedLabel(name), path);
    files.push(mix?.[i + 1]?.role === 'source' ? rows.map((row) => ({ ...row, isSource: true })) : rows);
  }
  return files;
}

const mixedLabel = (name: string): string => `Training file ${name}`;

/** Says what part of the run each file of a mix is. */
export function sayShares(
  config: RunConfig,
  files: readonly (readonly TrainingRow[])[],
  mixFiles: TrainSpec['mixFiles'] = [],
  emit: Emit,
): void {
  const counted = files.map((rows) => ({
    rows: rows.length,
    tokens: rows.reduce((sum, { ids }) => sum + ids.length, 0),
  }));
  for (const [i, share] of mixShares(config, counted).entries()) {
    const label = i === 0 ? 'Training file' : mixedLabel(mixFiles[i - 1]?.name ?? '');
    emit({ type: 'message', level: 'info', at: Date.now(), message: describeShare(label, share), data: { ...share } });
  }
}

/** The day that a template takes for today; runs of earlier versions took the day they were computed on. */
export const templateDay = ({ template_date: date }: RunConfig): Date =>
  date === undefined ? new Date() : new Date(date);
