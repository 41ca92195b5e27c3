import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AppError } from '@moraine/contract';
import { architectureOf, parseModelConfig, weightShapes } from '@moraine/contract/plan';
import { type TensorDtype, writeSafetensors } from '@moraine/engine';
import { createModel } from '@moraine/lm';
import { loadBase } from '../src/index.js';

/** A generated config.json and what transformers makes of it; see scripts/configs/configs.py. */
export interface ConfigCase {
  config: Record<string, unknown>;
  dtype: TensorDtype;
  /** Which of embedding and head are in the file. */
  stored: 'all' | 'embedding' | 'head' | 'both-same' | 'both-differ';
  /** The key that a refusal must name. */
  refused: string | null;
  /** Nats a token of transformers' model. */
  loss: number | null;
}

export const readCases = (file: string): ConfigCase[] => JSON.parse(readFileSync(file, 'utf8')) as ConfigCase[];

/** What we make of a case: the loss, or the key that is refused with the message. */
export type Outcome = { loss: number } | { refused: string; message: string };

export async function outcomeOf(one: ConfigCase): Promise<Outcome> {
  const dir = mkdtempSync(join(tmpdir(), 'moraine-configs-'));
  try {
    writeFileSync(join(dir, 'config.json'), JSON.stringify(one.config));
    writeWeights(dir, one);
    return { loss: await lossOf(dir) };
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'invalid_base') throw error;
    return { refused: error.param ?? '', message: error.message };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** The weights of a case; `prefix` of their keys stands for another model of the same shapes. */
export function writeWeights(
  dir: string,
  { config, dtype, stored }: Pick<ConfigCase, 'config' | 'dtype' | 'stored'>,
  prefix = '',
): void {
  const shape = parseModelConfig(config);
  const { embedding, head } = architectureOf(shape);
  const weight = (name: string, sides: number[]) => weightOf(prefix + name, sides, dtype);
  const tensors = new Map([...weightShapes(shape)].map(([name, sides]) => [name, weight(name, sides)]));
  const table = weightShapes(shape).get(embedding) ?? [];
  if (stored === 'both-same' || stored === 'head') tensors.set(head, weight(embedding, table));
  if (stored === 'both-differ') tensors.set(head, weight(head, table));
  if (stored === 'head') tensors.delete(embedding);
  writeSafetensors(join(dir, 'model.safetensors'), tensors);
}

async function lossOf(dir: string): Promise<number> {
  const { config, weights } = loadBase(dir);
  const time = Math.min(24, config.maxPositions);
  const ids = Int32Array.from(units('tokens', time), (x) => Math.floor(((x + 1) / 2) * config.vocabSize));
  const model = await createModel({
    config,
    weights,
    mode: 'eager',
    evaluation: [{ batch: 1, time }],
  });
  try {
    const { losses } = model.score({
      batch: 1,
      time,
      ids,
      labels: ids,
      segments: new Int32Array(time),
      positions: Int32Array.from(ids.keys()),
    });
    return losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
  } finally {
    model.dispose();
  }
}

function weightOf(key: string, shape: number[], dtype: TensorDtype) {
  const values = units(
    key,
    shape.reduce((a, b) => a * b, 1),
  );
  const scale = (x: number): number => (shape.length === 1 ? 1 + 0.2 * x : 0.4 * x);
  return { dtype, shape, data: Float32Array.from(values, scale) };
}

/** `count` numbers in [-1, 1) from a hash of the key and the position, the same as `units` of configs.py. */
export function units(key: string, count: number): Float64Array {
  const start = crc32(key);
  return Float64Array.from({ length: count }, (_, i) => {
    let x = (Math.imul(i, 2654435761) + start) | 0;
    x = Math.imul(x ^ (x >>> 16), 0x45d9f3b);
    x = Math.imul(x ^ (x >>> 16), 0x45d9f3b);
    return ((x ^ (x >>> 16)) >>> 0) / 2 ** 31 - 1;
  });
}

/** CRC-32 as zlib has it; Node 20.19's zlib has no `crc32` in its types. */
function crc32(text: string): number {
  let crc = -1;
  for (const byte of Buffer.from(text)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc;
}
