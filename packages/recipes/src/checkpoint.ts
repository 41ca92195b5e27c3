import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AppError, type NumericMode, type RunConfig } from '@moraine/contract';
import { makeFolder } from '@moraine/contract/make-folder';
import { TEMPLATE_FILE, TOOL_TEMPLATE_FILE } from '@moraine/data';
import { readSafetensors, writeSafetensors } from '@moraine/engine';
import type { HostTensor, Trainer, TrainerState } from '@moraine/lm';
import type { Base } from './base.js';
import { type DecidingParts, firstDifference } from './fingerprint.js';
import { lazyTensors } from './lazy-tensors.js';
import type { Watched } from './watched.js';
import { hashWeights } from './weight-bytes.js';

/**
 * A checkpoint is a folder: `trainable.safetensors`, `optimizer.safetensors`, `state.json` and `result.csv`. It is written under a
 * temporary name and renamed, never into an existing folder.
 */
export interface CheckpointState {
  format: 1;
  step: number;
  trainedTokens: number;
  /** How the numbers were computed; absent before runs had modes, when all were eager. */
  mode?: NumericMode;
  /** What must be equal for a resume to repeat the uninterrupted run. */
  fingerprint: string;
  /** What the fingerprint is made of, to name what differs; absent in older checkpoints. */
  parts?: DecidingParts;
  /** What the run knew of its validations; absent in older checkpoints. */
  watched?: Watched;
  /** Where the steps before it were computed; absent in older checkpoints. */
  device?: string;
  /** sha256 of the parts of the base that the fingerprint leaves out, null for a file that is not there; absent in older checkpoints. */
  base?: BaseHashes;
}

export type BaseHashes = Record<string, string | null>;

export interface LoadedCheckpoint extends CheckpointState {
  trainer: TrainerState;
  /** Lines of the result file up to the checkpoint. */
  resultCsv: string;
}

/** Files of a base that decide how rows are written as tokens, and that the fingerprint does not have. */
const WRITING = [
  'tokenizer_config.json',
  'special_tokens_map.json',
  'generation_config.json',
  TEMPLATE_FILE,
  TOOL_TEMPLATE_FILE,
];

/** Hashes of the weights and of the files that decide how rows are written. @throws AppError `invalid_base` for weights that are not finite. */
export async function hashBase(baseDir: string, { weights }: Base): Promise<BaseHashes> {
  const files = WRITING.map((name): [string, string | null] => {
    const path = join(baseDir, name);
    return [name, existsSync(path) ? createHash('sha256').update(readFileSync(path)).digest('hex') : null];
  });
  return { weights: await hashWeights(weights), ...Object.fromEntries(files) };
}

export function writeCheckpoint(
  parent: string,
  state: CheckpointState,
  trainer: Pick<Trainer, 'stateShapes' | 'variables'>,
  resultCsv: string,
): string {
  const dir = join(parent, `step-${String(state.step).padStart(8, '0')}`);
  if (existsSync(dir)) {
    throw new AppError('storage', `The checkpoint folder ${dir} exists already.`, {
      hint: 'Each attempt writes into a folder of its own.',
    });
  }
  const temporary = join(parent, `.tmp-step-${state.step}`);
  rmSync(temporary, { recursive: true, force: true });
  makeFolder(temporary);
  const { trainable, optimizer } = trainer.stateShapes;
  writeSafetensors(join(temporary, 'trainable.safetensors'), lazyTensors(trainable, trainer.variables));
  writeSafetensors(join(temporary, 'optimizer.safetensors'), lazyTensors(optimizer, trainer.variables));
  writeFileSync(join(temporary, 'result.csv'), resultCsv);
  writeFileSync(join(temporary, 'state.json'), `${JSON.stringify(state)}\n`);
  renameSync(temporary, dir);
  return dir;
}

/** What a checkpoint must be of. */
export interface Expected {
  fingerprint: string;
  /** What the fingerprint is made of, to name what differs. */
  parts?: DecidingParts;
  base?: BaseHashes;
  mode: NumericMode;
  forceMode?: boolean | undefined;
}

/**
 * Reads a checkpoint of this run. One of another mode is taken only with `forceMode`.
 * @throws AppError `checkpoint_mismatch` when the folder belongs to another configuration, base, data or mode.
 */
export function readCheckpoint(dir: string, expected: Expected): LoadedCheckpoint {
  const state = readCheckpointState(dir);
  const { mode = 'eager' } = state;
  if (mode !== expected.mode && expected.forceMode !== true) {
    throw new AppError(
      'checkpoint_mismatch',
      `The checkpoint at step ${state.step} was computed in mode ${mode}, the run asks for ${expected.mode}.`,
      {
        param: 'mode',
        hint: `Resume in mode ${mode}. Forced (local train --force-mode), the losses are not those of the uninterrupted run.`,
      },
    );
  }
  if (state.format !== 1 || state.fingerprint !== expected.fingerprint) throw ofAnotherRun(state, expected);
  refuseOtherBase(state, expected.base);
  return {
    ...state,
    trainer: {
      step: state.step,
      trainable: checkpointTensors(dir, 'trainable.safetensors'),
      optimizer: checkpointTensors(dir, 'optimizer.safetensors'),
    },
    resultCsv: readFileSync(join(dir, 'result.csv'), 'utf8'),
  };
}

function ofAnotherRun({ step, parts }: CheckpointState, expected: Expected): AppError {
  const found = parts && expected.parts ? firstDifference(parts, expected.parts) : null;
  const what = found === null ? '' : `: ${found.sentence}`;
  return new AppError(
    'checkpoint_mismatch',
    `The checkpoint at step ${step} is of another configuration, base or training file${what}.`,
    {
      ...(found === null ? {} : { param: found.param }),
      hint: 'Resume with what the run was started with, or submit a new run.',
    },
  );
}

export const readCheckpointState = (dir: string): CheckpointState =>
  JSON.parse(readFileSync(join(dir, 'state.json'), 'utf8')) as CheckpointState;

/** Whether a folder is a checkpoint. */
export const isCheckpoint = (dir: string): boolean => existsSync(join(dir, 'state.json'));

/** What a checkpoint trains, and its step. @throws AppError `unsupported_format` for one that does not say its method. */
export function readCheckpointMethod(dir: string): { method: RunConfig['adapter']; step: number } {
  const { parts, step } = readCheckpointState(dir);
  const method = parts?.config.adapter;
  if (method !== undefined) return { method, step };
  throw new AppError('unsupported_format', `${dir} was written by an earlier version, which did not say its method.`, {
    hint: "Take the adapter of the run, the folder 'adapter' beside its checkpoints.",
  });
}

/** Tensors of one file of a checkpoint. */
export function checkpointTensors(dir: string, name: string): Map<string, HostTensor> {
  const read = new Map<string, HostTensor>();
  for (const [key, { shape, data }] of readSafetensors(join(dir, name)).tensors) {
    if (data instanceof Float32Array) read.set(key, { shape, data });
  }
  return read;
}

function refuseOtherBase({ step, base }: CheckpointState, expected: BaseHashes | undefined): void {
  if (base === undefined || expected === undefined) return;
  // A file that an earlier version did not hash was read by none of its runs.
  const changed = Object.keys(expected).find((part) => expected[part] !== (base[part] ?? null));
  if (changed === undefined) return;
  const what = changed === 'weights' ? 'The weights' : changed;
  throw new AppError('checkpoint_mismatch', `${what} of the base changed since the checkpoint at step ${step}.`, {
    param: changed,
    hint: 'Put the files back that the run was started with, or start a new run.',
  });
}

/** How far a checkpoint is. */
export function readProgress(dir: string): { step: number; trainedTokens: number } {
  const { step, trainedTokens } = readCheckpointState(dir);
  return { step, trainedTokens };
}

/** Bytes of all files below a folder. */
export function folderBytes(dir: string): number {
  let bytes = 0;
  for (const entry of readdirSync(dir, { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) bytes += statSync(join(entry.parentPath, entry.name)).size;
  }
  return bytes;
}
