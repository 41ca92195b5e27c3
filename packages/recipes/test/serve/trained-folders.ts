import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { linearShapes } from '@moraine/contract/plan';
import { createRandom } from '@moraine/contract/random';
import { writeSafetensors } from '@moraine/engine';
import {
  type Adapter,
  createMethod,
  exportAdapter,
  type HostTensor,
  initialAdapter,
  type MethodOptions,
} from '@moraine/lm';
import { type Base, loadBase, readWeight } from '../../src/index.js';

const folder = (): string => mkdtempSync(join(tmpdir(), 'moraine-trained-'));

function moved({ shape, data }: HostTensor, by: number, next: () => number): HostTensor {
  return { shape, data: data.map((value) => value + by * (2 * next() - 1)) };
}

/** An adapter as a run would leave it: the starting values of its method on the layers that end with one of `targets`, moved at random. */
export function writeAdapter(
  baseDir: string,
  options: MethodOptions,
  seed: number,
  { targets = ['_proj'], by = 0.2 } = {},
): string {
  const base = loadBase(baseDir);
  const paths = linearShapes(base.config)
    .map(({ name }) => name)
    .filter((name) => targets.some((target) => name.endsWith(target)));
  const adapter: Adapter = { method: createMethod(options), paths, dropout: 0 };
  const random = createRandom(seed);
  const frozen = adapter.method.frozen ?? [];
  const variables = new Map(
    [...initialAdapter(base.config, adapter, seed, (name) => readWeight(base, name))].map(([name, value]) => [
      name,
      frozen.some((role) => name.endsWith(`.${role}`)) ? value : moved(value, by, () => random.next()),
    ]),
  );
  return writeVariables(base, adapter, variables);
}

/** An adapter with these variables, `<path>.<role>`, in its own form. */
export function writeVariables({ config }: Base, adapter: Adapter, variables: ReadonlyMap<string, HostTensor>): string {
  const { native } = exportAdapter(config, adapter, variables, 'tiny');
  const dir = folder();
  writeFileSync(join(dir, native.configName), JSON.stringify(native.config));
  writeSafetensors(join(dir, native.weightsName), native.tensors);
  return dir;
}

/** All weights moved at random, as a full fine-tuning leaves them. */
export function writeWhole(baseDir: string, seed: number): string {
  const base: Base = loadBase(baseDir);
  const random = createRandom(seed);
  const dir = folder();
  const weights = [...base.weights.keys()].map(
    (name) => [name, moved(readWeight(base, name), 0.1, () => random.next())] as const,
  );
  writeSafetensors(join(dir, 'model.safetensors'), new Map(weights));
  writeFileSync(join(dir, 'config.json'), readFileSync(join(baseDir, 'config.json'), 'utf8'));
  return dir;
}
