import type { z } from 'zod';
import { AppError } from '../errors.js';
import type { RunConfig } from '../run-config.js';
import type { CreateRunRequest, DataRole } from '../run-request.js';

/** The files that a run trains on, the training file first, with the weights that rows are drawn by. */
export type DataMix = NonNullable<RunConfig['data_mix']>;

/** Where a file of a mix is named in the request. */
export interface MixedFile {
  file_id: string;
  weight: number;
  role: DataRole;
  param: string;
}

/**
 * The training file and the files of `data_mix`; undefined where there are none beside it. An entry that names the training file itself gives
 * its weight, which is 1 otherwise.
 * @throws AppError naming the entry: a file twice, the training file as a source.
 */
export function mixedFilesOf(
  { data_mix: entries }: Pick<z.output<typeof CreateRunRequest>, 'data_mix'>,
  trainingFile: string,
): MixedFile[] | undefined {
  if (!entries || entries.length === 0) return undefined;
  const named = entries.map((entry, i) => ({ ...entry, param: `data_mix[${i}]` }));
  for (const [i, { file_id, role, param }] of named.entries()) {
    const before = named.findIndex((other) => other.file_id === file_id);
    if (before < i) {
      throw invalid(`${param}.file_id`, `'${file_id}', which data_mix[${before}] names too`, 'Give a file one weight.');
    }
    if (file_id === trainingFile && role !== 'target') {
      throw invalid(
        `${param}.role`,
        `${role}, but '${file_id}' is the training file, which is a target`,
        'Name a target as training_file, and what should be kept in data_mix.',
      );
    }
  }
  const training = named.find(({ file_id }) => file_id === trainingFile);
  const others = named.filter((entry) => entry !== training);
  if (others.length === 0) return undefined;
  const first = {
    file_id: trainingFile,
    weight: training?.weight ?? 1,
    role: 'target',
    param: 'training_file',
  } as const;
  return [first, ...others];
}

/**
 * Rows that an epoch draws, of every role together, given the rows of each file: as many rows of targets as the targets have. With one target
 * that is each of its rows once; of several the one with more weight for its size is shown more often than once. A whole number only where
 * the weights make it one.
 */
export function epochDraws(mix: Pick<MixedFile, 'weight' | 'role'>[] | undefined, rows: readonly number[]): number {
  if (mix === undefined) return rows[0] ?? 0;
  const targets = mix.flatMap(({ role, weight }, i) => (role === 'target' ? [{ weight, rows: rows[i] ?? 0 }] : []));
  const share = sum(targets.map(({ weight }) => weight)) / sum(mix.map(({ weight }) => weight));
  return Number((sum(targets.map((target) => target.rows)) / share).toPrecision(12));
}

/** What a file of a mix is of a run. */
export interface MixShare {
  role: DataRole;
  weight: number;
  /** Of the rows, and of the tokens, that the run is shown; 0 to 1. */
  rows_share: number;
  tokens_share: number;
  /** Times that a row of the file is shown, on average. */
  passes: number;
}

/** The share of each file in a run of so many steps, given the rows and tokens that are trained on. */
export function mixShares(
  { data_mix: mix, steps, batch_size: batchSize }: Pick<RunConfig, 'data_mix' | 'steps' | 'batch_size'>,
  files: readonly { rows: number; tokens: number }[],
): MixShare[] {
  if (mix === undefined) return [];
  const all = sum(mix.map(({ weight }) => weight));
  const tokensOf = mix.map(({ weight }, i) => (weight * (files[i]?.tokens ?? 0)) / Math.max(1, files[i]?.rows ?? 0));
  return mix.map(({ role, weight }, i) => ({
    role,
    weight,
    rows_share: weight / all,
    tokens_share: (tokensOf[i] ?? 0) / Math.max(Number.MIN_VALUE, sum(tokensOf)),
    passes: (steps * batchSize * weight) / all / Math.max(1, files[i]?.rows ?? 0),
  }));
}

/** A file's share as a sentence. */
export function describeShare(label: string, { role, rows_share, tokens_share, passes }: MixShare): string {
  const percent = (share: number): string => `${Number((100 * share).toPrecision(3))} %`;
  return `${label}: ${role}, ${percent(rows_share)} of the rows and ${percent(tokens_share)} of the tokens; a row is shown ${Number(passes.toPrecision(3))} times.`;
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

const invalid = (param: string, problem: string, hint: string): AppError =>
  new AppError('invalid_value', `'${param}' is ${problem}.`, { param, hint });
