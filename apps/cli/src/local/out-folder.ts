import {
  appendFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { AppError, keepBestCount, type RunConfig } from '@moraine/contract';
import { makeFolder } from '@moraine/contract/make-folder';

/** What a folder of `local train` says about its run, so that it can be gone on with. */
export interface StoredRun {
  format: 1;
  base: string;
  data: string;
  valid: string | null;
  /** The adapter that it started from, where there was one. */
  from?: string | null;
  /** The configuration as it was written, options of the command line included. */
  body: Record<string, unknown>;
  config: RunConfig;
}

const OURS = ['run.json', 'adapter', 'peft', 'merged', 'checkpoints', 'metrics.jsonl'];

/** @throws AppError `conflict` when the folder has a run's files already, or it is a file. */
export function refuseUsedFolder(out: string): void {
  if (statSync(out, { throwIfNoEntry: false })?.isDirectory() === false)
    throw new AppError('conflict', `${out} is a file, not a folder.`, { hint: 'Name a new folder with --out.' });
  const present = OURS.find((name) => existsSync(path.join(out, name)));
  if (present === undefined) return;
  throw new AppError('conflict', `${out} holds a run already: ${present}.`, {
    hint: 'Write --resume to go on with it, or name another folder.',
  });
}

/** The run that a folder belongs to. @throws AppError `not_found`; `invalid_value` where its file is damaged. */
export function readStoredRun(out: string): StoredRun {
  const file = path.join(out, 'run.json');
  if (!existsSync(file)) {
    throw new AppError('not_found', `${out} holds no run to go on with: run.json is missing.`, {
      hint: 'Name the folder that the run was started with, or leave --resume out.',
    });
  }
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as StoredRun;
  } catch (cause) {
    throw new AppError('invalid_value', `${file} is damaged: it is not JSON.`, {
      hint: 'Train anew into another folder with --base, --data and --config.',
      cause,
    });
  }
}

export function writeStoredRun(out: string, run: StoredRun): void {
  makeFolder(out);
  // Whole or not at all, also when the process is killed here.
  const temporary = path.join(out, '.run.json');
  writeFileSync(temporary, `${JSON.stringify(run, null, 2)}\n`);
  renameSync(temporary, path.join(out, 'run.json'));
}

/** Folders of finished checkpoints, oldest first. */
export function checkpointsIn(out: string): string[] {
  const parent = path.join(out, 'checkpoints');
  if (!existsSync(parent)) return [];
  return readdirSync(parent)
    .filter((name) => /^step-\d+$/.test(name))
    .sort()
    .map((name) => path.join(parent, name));
}

/** Deletes all but the newest checkpoints, and those that one of them knows as the best of the run. */
export function pruneCheckpoints(out: string, { keep_last, ...checkpoint }: RunConfig['checkpoint']): void {
  const all = checkpointsIn(out);
  const last = all.slice(-keep_last);
  const kept = new Set(keepBestCount(checkpoint) > 0 ? [...last, ...last.flatMap(bestsOf)] : last);
  for (const dir of all) if (!kept.has(dir)) rmSync(dir, { recursive: true });
}

interface Known {
  best: { step: number } | null;
  lowest?: { step: number }[];
}

function watchedOf(checkpoint: string): Known {
  const state = JSON.parse(readFileSync(path.join(checkpoint, 'state.json'), 'utf8')) as { watched?: Known };
  return state.watched ?? { best: null };
}

const besideOf = (checkpoint: string, step: number): string =>
  path.join(path.dirname(checkpoint), `step-${String(step).padStart(8, '0')}`);

/** The folder of the best checkpoint that one knows of, beside it; null where it knows none. */
export function bestOf(checkpoint: string): string | null {
  const { best } = watchedOf(checkpoint);
  return best === null ? null : besideOf(checkpoint, best.step);
}

/** The folders of the best checkpoints that one knows of, as many as its run keeps. */
function bestsOf(checkpoint: string): string[] {
  const { best, lowest = [] } = watchedOf(checkpoint);
  return [...lowest, ...(best === null ? [] : [best])].map(({ step }) => besideOf(checkpoint, step));
}

export const stepOf = (checkpoint: string): number => Number(path.basename(checkpoint).slice('step-'.length));

/** Metrics as lines of JSON. A resumed run forgets what was measured after the checkpoint that it starts from. */
export function metricsFile(out: string, startStep: number): (step: number, values: Record<string, number>) => void {
  const file = path.join(out, 'metrics.jsonl');
  const before = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
  const kept = before.filter((line) => {
    const step = /^\{"step":(\d+),.*\}$/.exec(line)?.[1];
    return step !== undefined && Number(step) <= startStep;
  });
  writeFileSync(file, kept.map((line) => `${line}\n`).join(''));
  return (step, values) => appendFileSync(file, `${JSON.stringify({ step, ...values })}\n`);
}

/** Puts finished folders directly below `out`, in the place of older ones; returns where each is now. */
export function placeExports(out: string, exports: readonly { kind: string; dir: string }[]): Record<string, string> {
  const placed: Record<string, string> = {};
  for (const { kind, dir } of exports) {
    const to = path.join(out, kind);
    rmSync(to, { recursive: true, force: true });
    renameSync(dir, to);
    placed[kind] = to;
  }
  rmSync(path.join(out, 'exports'), { recursive: true, force: true });
  return placed;
}
