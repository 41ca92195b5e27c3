import { createHash } from 'node:crypto';
import {
  createReadStream,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { AppError, type NumericMode, type TrainSpec } from '@moraine/contract';
import { readSafetensors, writeSafetensors } from '@moraine/engine';
import type { HostTensor, Trainer, TrainerState } from '@moraine/lm';
import { lazyTensors } from './lazy-tensors.js';

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
}

export interface LoadedCheckpoint extends CheckpointState {
  trainer: TrainerState;
  /** Lines of the result file up to the checkpoint. */
  resultCsv: string;
}

/** Hash of what decides the numbers of a run: configuration, training file, and of the base (whose files never change) what is small. */
export async function fingerprint(spec: Pick<TrainSpec, 'config' | 'trainingFile' | 'baseDir'>): Promise<string> {
  const hash = createHash('sha256');
  // Micro-batches only move rounding, and a run whose memory ran out goes on with more of them.
  // The mode is compared by itself.
  const { checkpoint, evaluation, accumulation, mode, ...deciding } = spec.config;
  hash.update(JSON.stringify(deciding));
  for (const file of [spec.trainingFile, join(spec.baseDir, 'config.json'), join(spec.baseDir, 'tokenizer.json')])
    for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest('hex');
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
  mkdirSync(temporary, { recursive: true });
  const { trainable, optimizer } = trainer.stateShapes;
  writeSafetensors(join(temporary, 'trainable.safetensors'), lazyTensors(trainable, trainer.variables));
  writeSafetensors(join(temporary, 'optimizer.safetensors'), lazyTensors(optimizer, trainer.variables));
  writeFileSync(join(temporary, 'result.csv'), resultCsv);
  writeFileSync(join(temporary, 'state.json'), `${JSON.stringify(state)}\n`);
  renameSync(temporary, dir);
  return dir;
}

/**
 * Reads a checkpoint of this run. One of another mode is taken only with `forceMode`.
 * @throws AppError `checkpoint_mismatch` when the folder belongs to another configuration, base, data or mode.
 */
export function readCheckpoint(
  dir: string,
  expected: { fingerprint: string; mode: NumericMode; forceMode?: boolean },
): LoadedCheckpoint {
  const state = JSON.parse(readFileSync(join(dir, 'state.json'), 'utf8')) as CheckpointState;
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
  if (state.format !== 1 || state.fingerprint !== expected.fingerprint) {
    throw new AppError(
      'checkpoint_mismatch',
      `The checkpoint at step ${state.step} is of another configuration, base or training file.`,
      {
        hint: 'Resume with what the run was started with, or submit a new run.',
      },
    );
  }
  const tensors = (name: string): Map<string, HostTensor> => {
    const read = new Map<string, HostTensor>();
    for (const [key, { shape, data }] of readSafetensors(join(dir, name)).tensors) {
      if (data instanceof Float32Array) read.set(key, { shape, data });
    }
    return read;
  };
  return {
    ...state,
    trainer: {
      step: state.step,
      trainable: tensors('trainable.safetensors'),
      optimizer: tensors('optimizer.safetensors'),
    },
    resultCsv: readFileSync(join(dir, 'result.csv'), 'utf8'),
  };
}

/** Bytes of all files below a folder. */
export function folderBytes(dir: string): number {
  let bytes = 0;
  for (const entry of readdirSync(dir, { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) bytes += statSync(join(entry.parentPath, entry.name)).size;
  }
  return bytes;
}
