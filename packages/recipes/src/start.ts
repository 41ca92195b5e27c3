import { createHash } from 'node:crypto';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { AppError, type TrainSpec } from '@moraine/contract';
import { type Start, trainedAdapter } from '@moraine/contract/plan';
import type { HostTensor } from '@moraine/lm';
import type { Base } from './base.js';
import {
  type BaseHashes,
  checkpointTensors,
  isCheckpoint,
  readCheckpointMethod,
  readCheckpointState,
} from './checkpoint.js';
import { hashFile } from './fingerprint.js';
import { readAdapter, readAdapterConfig } from './read-adapter.js';

/**
 * What a run on this machine would start from: an adapter's folder in any form that is read, a checkpoint's folder, or the folder of a
 * `local train`, whose adapter it then is.
 * @throws AppError `not_found` for a folder that is none of these, and what `readAdapterConfig` throws.
 */
export async function readStart(dir: string, base: Base): Promise<Start & { dir: string }> {
  const result = join(dir, 'adapter');
  const folder = existsSync(join(dir, 'run.json')) && existsSync(result) ? result : dir;
  return { model: dir, sha256: await hashFolder(folder), adapter: adapterConfigOf(folder, base), dir: folder };
}

function adapterConfigOf(dir: string, { config }: Base) {
  if (!isCheckpoint(dir)) return readAdapterConfig(dir, config);
  const { method, step } = readCheckpointMethod(dir);
  return trainedAdapter(dir, method, step);
}

/** sha256 over the sorted lines `name sha256` of a folder's files. */
async function hashFolder(dir: string): Promise<string> {
  const whole = createHash('sha256');
  const names = existsSync(dir) ? readdirSync(dir).filter((name) => statSync(join(dir, name)).isFile()) : [];
  for (const name of names.sort()) {
    whole.update(`${name} ${await hashFile(join(dir, name))}\n`);
  }
  return whole.digest('hex');
}

/**
 * Values of all variables of the adapter that a run starts from; null where it starts fresh or goes on from a checkpoint of its own.
 * @throws AppError `checkpoint_mismatch` where the folder is not the one that the run was planned with; `invalid_value` for one of another base.
 */
export async function loadStart(
  spec: TrainSpec,
  base: Base,
  hashes: BaseHashes,
): Promise<Map<string, HostTensor> | null> {
  const { config, startFrom, resumeFrom } = spec;
  if (config.start === undefined || resumeFrom !== null) return null;
  const { model, sha256 } = config.start;
  if (startFrom == null || (await hashFolder(startFrom)) !== sha256)
    throw new AppError(
      'checkpoint_mismatch',
      `The adapter '${model}' changed since the run was planned to start from it.`,
      {
        param: 'model',
        hint: 'Put its files back, or start a new run.',
      },
    );
  if (!isCheckpoint(startFrom)) return readAdapter(startFrom, base.config).variables;
  const { base: before } = readCheckpointState(startFrom);
  if (before !== undefined && before.weights !== hashes.weights)
    throw new AppError('invalid_value', `The adapter '${model}' was trained on other weights than the base has.`, {
      param: 'model',
      hint: 'Name the base that it was trained on.',
    });
  return checkpointTensors(startFrom, 'trainable.safetensors');
}
