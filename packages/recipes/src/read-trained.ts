import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { trainedAdapter } from '@moraine/contract/plan';
import type { Adapter, HostTensor } from '@moraine/lm';
import type { Base } from './base.js';
import { checkpointTensors, isCheckpoint, readCheckpointMethod } from './checkpoint.js';
import { readModel } from './export/result.js';
import { adapterOf } from './method.js';
import { readAdapter } from './read-adapter.js';

/** What was trained on a base: an adapter and its variables, or weights anew, of which those that are not there are the base's. */
export type Trained =
  | { kind: 'adapter'; adapter: Adapter; variables: ReadonlyMap<string, HostTensor>; options: object }
  | { kind: 'whole'; weightOf(name: string): HostTensor | undefined };

/** Where the result of a `local train` lies in its folder: its adapter, or the model where that was trained itself; another folder itself. */
export function resultDir(dir: string): string {
  const result = ['adapter', 'merged'].map((name) => join(dir, name)).find((folder) => existsSync(folder));
  return existsSync(join(dir, 'run.json')) && result !== undefined ? result : dir;
}

/**
 * What lies in a folder: an adapter in any form that is read, a checkpoint, what a `local train` left, or a whole model of the base's shapes.
 * @throws AppError as `readAdapter` and `loadBase` do.
 */
export function readTrained(dir: string, base: Base): Trained {
  if (!isCheckpoint(dir)) {
    const place = resultDir(dir);
    const isModel = existsSync(join(place, 'config.json'));
    return isModel ? readModel(place, base) : { kind: 'adapter', ...readAdapter(place, base.config) };
  }
  const { method, step } = readCheckpointMethod(dir);
  const variables = checkpointTensors(dir, 'trainable.safetensors');
  const adapter = 'target_modules' in method ? adapterOf(trainedAdapter(dir, method, step)) : null;
  if (adapter === null) return { kind: 'whole', weightOf: (name) => variables.get(name) };
  const { target_modules: _targets, ...options } = method as Record<string, unknown>;
  return { kind: 'adapter', adapter, variables, options };
}
