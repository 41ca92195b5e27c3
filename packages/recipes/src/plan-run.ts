import { statSync } from 'node:fs';
import { basename } from 'node:path';
import { AppError, type RunConfig } from '@moraine/contract';
import {
  countAgain,
  epochDraws,
  mixedFilesOf,
  type RunRequest,
  resolveConfig,
  type Start,
} from '@moraine/contract/plan';
import { loadBaseTokenizer, validateFile } from '@moraine/data';
import { loadBase, readBaseConfig } from './base.js';
import type { Control, Emit } from './control.js';
import { createEncode, encodeTraining, sayShares, templateDay } from './encode.js';

export interface RunPlan {
  request: RunRequest;
  baseDir: string;
  baseName: string;
  trainingFile: string;
  /** Files that the request's data_mix adds, by path; its ids are these paths. */
  mixFiles?: readonly string[] | undefined;
  /** Whether one of the other files is for validation; default false. */
  validates?: boolean | undefined;
  /** Files besides the training file that the run will read. */
  otherFiles: readonly string[];
  seed: number;
  /** The day that a chat template takes for today, YYYY-MM-DD; default today. */
  templateDate?: string | undefined;
  /** The adapter that it starts from; absent: a fresh one. */
  start?: Start | undefined;
}

/**
 * The configuration of a run on files of this machine: what a service does with a request, without one. Reads config.json, the
 * headers of the weights and every row.
 * @throws AppError naming the file, the line or the key.
 */
export async function planRun(plan: RunPlan): Promise<RunConfig> {
  const { config: base } = loadBase(plan.baseDir);
  const rows: number[] = [];
  for (const file of [plan.trainingFile, ...(plan.mixFiles ?? [])]) rows.push(await countRows(file));
  for (const file of plan.otherFiles) await countRows(file);
  const { request, baseName, validates, seed, start } = plan;
  const { templateDate = new Date().toISOString().slice(0, 10) } = plan;
  const mix = mixedFilesOf(request, plan.trainingFile);
  const drawn = epochDraws(mix, rows);
  return resolveConfig({ request, baseName, base, rows: drawn, mix, validates, seed, templateDate, start });
}

/**
 * A plan whose rows are encoded as the run would encode them: the configuration on the rows that are trained on, and what is cut, left out or
 * changed, a sentence each; and the share of each file of a mix.
 * @throws AppError as the run would before its first step.
 */
export async function rehearseRun(plan: RunPlan): Promise<{ config: RunConfig; warnings: string[]; shares: string[] }> {
  const config = await planRun(plan);
  const { vocabSize } = readBaseConfig(plan.baseDir);
  const tokenizer = await loadBaseTokenizer(plan.baseDir, vocabSize, templateDay(config));
  const warnings: string[] = [];
  const shares: string[] = [];
  const emit: Emit = (event) => {
    if (event.type === 'message' && event.level === 'warn') warnings.push(event.message);
  };
  const control: Control = { stopRequested: () => null };
  const encode = createEncode({ config, tokenizer, emit, control });
  const mixFiles = plan.mixFiles?.map((path) => ({ id: path, name: basename(path), path }));
  const files = await encodeTraining(encode, plan.trainingFile, config, mixFiles);
  for (const file of plan.otherFiles) await encode.scored(basename(file), file);
  const drawn = epochDraws(
    config.data_mix,
    files.map((rows) => rows.length),
  );
  const counted = countAgain(config, drawn);
  sayShares(counted, files, mixFiles, (event) => {
    if (event.type === 'message') shares.push(event.message);
  });
  return { config: counted, warnings, shares };
}

/** @throws AppError `not_found` where a path names no file: nothing, or a folder. */
export function refuseNoFile(path: string): void {
  const status = statSync(path, { throwIfNoEntry: false });
  if (status?.isDirectory() === false) return;
  throw new AppError('not_found', status ? `${path} is a folder, not a file.` : `There is no file ${path}.`, {
    hint: 'Name a JSONL file, one row a line.',
  });
}

/** Rows of a good file. @throws AppError `invalid_file` naming the first bad line, or `not_found`. */
async function countRows(file: string): Promise<number> {
  refuseNoFile(file);
  const { rows, errors, isPartial } = await validateFile(file);
  const [first] = errors;
  if (first === undefined) return rows;
  const more = errors.length > 1 ? ` (and ${isPartial ? 'at least ' : ''}${errors.length - 1} more)` : '';
  throw new AppError('invalid_file', `${file}, line ${first.line}: ${first.message}${more}`, {
    param: `line ${first.line}${first.key}`,
    hint: first.hint,
  });
}
