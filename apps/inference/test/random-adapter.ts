import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type LinearShape, linearShapes } from '@moraine/contract/plan';
import { createRandom, type Random } from '@moraine/contract/random';
import { writeSafetensors } from '@moraine/engine';
import { readBaseConfig } from '@moraine/recipes';

export const BASE = join(import.meta.dirname, '../../../examples/base');

const folder = (): string => mkdtempSync(join(tmpdir(), 'moraine-adapter-'));
const layers = (): LinearShape[] => linearShapes(readBaseConfig(BASE)).filter(({ name }) => name.includes('_proj'));

function values(random: Random, shape: number[], scale: number) {
  const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => (random.next() * 2 - 1) * scale);
  return { shape, data };
}

/** A LoRA of the shipped base in PEFT's layout whose matrices are random, so that it answers otherwise than the base. */
export function writeLora(seed: number, { rank = 4, isDora = false } = {}): string {
  const dir = folder();
  const random = createRandom(seed);
  const tensors = new Map(
    layers().flatMap(({ name, inDim, outDim }) => [
      [`base_model.model.${name}.lora_A.weight`, values(random, [rank, inDim], 0.3)] as const,
      [`base_model.model.${name}.lora_B.weight`, values(random, [outDim, rank], 0.3)] as const,
      ...(isDora ? [[`base_model.model.${name}.lora_magnitude_vector`, values(random, [outDim], 1)] as const] : []),
    ]),
  );
  writeSafetensors(join(dir, 'adapter_model.safetensors'), tensors);
  const config = {
    ...{ peft_type: 'LORA', task_type: 'CAUSAL_LM', r: rank, lora_alpha: 2 * rank, lora_dropout: 0, bias: 'none' },
    use_dora: isDora,
    target_modules: [...new Set(layers().map(({ name }) => name.split('.').at(-1)))],
  };
  writeFileSync(join(dir, 'adapter_config.json'), JSON.stringify(config));
  return dir;
}
