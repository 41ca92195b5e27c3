import { randomInt } from 'node:crypto';
import { CreateRunRequest, evaluationFilesOf, parse, type RunConfig } from '@moraine/contract';
import { epochDraws, type MixedFile, mixedFilesOf, parseModelConfig, resolveConfig } from '@moraine/contract/plan';
import type { z } from 'zod';
import type { Actor, Services } from '../ground/context.js';
import type { BaseModel, FileModel } from '../ground/generated/models.js';
import { waitForFile } from '../library/wait-for-file.js';
import { checkCanaries } from './check-canaries.js';
import { checkSuite } from './check-suite.js';
import { findStart, type RunStart } from './find-start.js';
import { withSplit } from './with-split.js';

const SEED_END = 2 ** 31;

/** A request whose names are all resolved. */
export interface Prepared {
  request: z.output<typeof CreateRunRequest>;
  /** What was done to the request that its owner should know; null: nothing. */
  note: string | null;
  base: BaseModel;
  /** The adapter that the run starts from; null: a fresh one. */
  start: RunStart | null;
  /** Those that are trained on come first. */
  files: RunFile[];
  config: RunConfig;
  /** Ids of the files that its evaluations by suites and its analyses read. */
  suiteFiles: string[];
}

/** A file that a run reads: the key of the request that names it, and what the run calls it. */
export interface RunFile {
  file: FileModel;
  param: string;
  label: string;
}

/** The day that chat templates take for today, YYYY-MM-DD. */
export const today = (): string => new Date().toISOString().slice(0, 10);

/** @throws AppError for everything that can be wrong with a request without looking at its rows. */
export async function prepareRun(
  s: Services,
  actor: Actor,
  body: unknown,
  templateDate: string = today(),
): Promise<Prepared> {
  const asked = parse(CreateRunRequest, body);
  const { base, start } = await findStart(s, actor, asked.model);
  const { request, note } = await withSplit(s, actor, asked);
  const mix = mixedFilesOf(request, request.training_file);
  const files = await filesOf(s, actor, request, mix);
  const suiteFiles: string[] = [];
  for (const [i, suite] of (request.evaluation?.suites ?? []).entries())
    suiteFiles.push(...(await checkSuite(s, actor, suite, `evaluation.suites[${i}].`)));
  for (const [i, analysis] of (request.evaluation?.analyses ?? []).entries()) {
    if (analysis.kind !== 'canaries') continue;
    await checkCanaries(s, actor, analysis.file, `evaluation.analyses[${i}].file`);
    suiteFiles.push(analysis.file);
  }
  const config = resolveConfig({
    request,
    baseName: base.name,
    base: parseModelConfig(base.config),
    rows: epochDraws(
      mix,
      files.map(({ file }) => file.rows ?? 0),
    ),
    mix,
    validates: Boolean(request.validation_file),
    seed: request.seed ?? randomInt(SEED_END),
    templateDate,
    start: start ?? undefined,
  });
  return { request, note, base, start, files, config, suiteFiles };
}

/** How many of a run's files, the first, are trained on. */
export const trainingFilesOf = ({ data_mix: mix }: Pick<RunConfig, 'data_mix'>): number => mix?.length ?? 1;

/** The training file and those of the mix, then the others. */
async function filesOf(
  s: Services,
  actor: Actor,
  request: z.output<typeof CreateRunRequest>,
  mix: readonly MixedFile[] = [],
): Promise<RunFile[]> {
  const open = async (id: string, param: string, label: (name: string) => string): Promise<RunFile> => {
    const file = await waitForFile(s, actor, id, param);
    return { file, param, label: label(file.filename) };
  };
  const files = [await open(request.training_file, 'training_file', () => 'Training file')];
  for (const { file_id, param } of mix.slice(1)) {
    files.push(await open(file_id, `${param}.file_id`, (name) => `Training file ${name}`));
  }
  if (request.validation_file) {
    files.push(await open(request.validation_file, 'validation_file', () => 'Validation file'));
  }
  for (const [i, { file_id }] of evaluationFilesOf(request).entries()) {
    files.push(await open(file_id, `evaluation.files[${i}]`, (name) => `Evaluation file ${name}`));
  }
  return files;
}
