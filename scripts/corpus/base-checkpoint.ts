/** Checkpoints of the base's training: one folder a step count, complete or absent. */
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readSafetensors, writeSafetensors } from '@moraine/engine';
import type { HostTensor, TrainerState } from '@moraine/lm';

const FOLDER = /^step-(\d{6})$/;
const KEPT = 2;

async function checkpointSteps(directory: string): Promise<number[]> {
  if (!existsSync(directory)) return [];
  const steps = (await readdir(directory)).flatMap((name) => {
    const found = FOLDER.exec(name);
    return found ? [Number(found[1])] : [];
  });
  return steps.sort((a, b) => a - b);
}

const folderOf = (directory: string, step: number): string => join(directory, `step-${String(step).padStart(6, '0')}`);

/** Writes the state beside its name, renames it, and removes all but the newest two. */
export async function saveCheckpoint(directory: string, state: TrainerState, recipe: string): Promise<void> {
  const folder = folderOf(directory, state.step);
  if (existsSync(folder)) return;
  const temporary = join(directory, `.tmp-${process.pid}`);
  await rm(temporary, { recursive: true, force: true });
  await mkdir(temporary, { recursive: true });
  writeSafetensors(join(temporary, 'weights.safetensors'), state.trainable);
  writeSafetensors(join(temporary, 'optimizer.safetensors'), state.optimizer);
  await writeFile(join(temporary, 'state.json'), `${JSON.stringify({ step: state.step, recipe })}\n`);
  await rename(temporary, folder);
  const steps = await checkpointSteps(directory);
  for (const step of steps.slice(0, -KEPT)) await rm(folderOf(directory, step), { recursive: true });
}

/** The newest checkpoint, or nothing. Refuses one that another recipe wrote. */
export async function loadLatestCheckpoint(directory: string, recipe: string): Promise<TrainerState | undefined> {
  const step = (await checkpointSteps(directory)).at(-1);
  if (step === undefined) return undefined;
  const folder = folderOf(directory, step);
  const state: unknown = JSON.parse(await readFile(join(folder, 'state.json'), 'utf8'));
  if (typeof state !== 'object' || state === null || !('recipe' in state) || state.recipe !== recipe) {
    throw new Error(`${folder} was written by another recipe. Remove ${directory} to start again.`);
  }
  const tensors = (name: string): Map<string, HostTensor> =>
    new Map(
      [...readSafetensors(join(folder, name)).tensors].map(([key, { shape, data }]) => [
        key,
        { shape, data: Float32Array.from(data as Float32Array) },
      ]),
    );
  return { step, trainable: tensors('weights.safetensors'), optimizer: tensors('optimizer.safetensors') };
}
