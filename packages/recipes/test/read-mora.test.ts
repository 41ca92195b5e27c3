import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeSafetensors } from '@moraine/engine';
import { describe, expect, it } from 'vitest';
import { loadBase, readAdapter } from '../src/index.js';
import { writeTinyBase } from './tiny-base.js';

const base = writeTinyBase();

describe('a MoRA folder is refused', () => {
  const mora = (config: object | string, tensors?: Map<string, { shape: number[]; data: Float32Array }>): string => {
    const dir = mkdtempSync(join(tmpdir(), 'moraine-mora-'));
    writeFileSync(join(dir, 'mora_config.json'), typeof config === 'string' ? config : JSON.stringify(config));
    if (tensors) writeSafetensors(join(dir, 'mora_model.safetensors'), tensors);
    return dir;
  };
  const good = { format: 'moraine-mora', format_version: 1, rank: 4, mora_type: 1 };
  const one = (name: string, shape: number[]) =>
    new Map([[name, { shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) }]]);
  const path = 'model.layers.0.self_attn.q_proj'; // [32, 32]: a square of 16 at rank 4

  it.each<[string, string, string | RegExp]>([
    ['of another format', mora({ ...good, format: 'other' }), /other 1 is not moraine-mora 1/],
    ['of a later version', mora({ ...good, format_version: 2 }), /moraine-mora 2/],
    ['of an unknown type', mora({ ...good, mora_type: 5 }), /mora_type is 5, not one of .* 4, 6, truncation/],
    ['with a rank that is no number', mora({ ...good, rank: 'four' }), /rank is "four"/],
    ['without its tensors', mora(good), /no mora_model\.safetensors/],
    ['whose configuration is cut short', mora('{"format": '), /not JSON/],
    ['whose configuration is a list', mora('3'), /no JSON object/],
    [
      'of a layer that the base does not have',
      mora(good, one('model.layers.9.self_attn.q_proj.mora_M', [16, 16])),
      /layers\.9/,
    ],
    ['with a square of another size', mora(good, one(`${path}.mora_M`, [15, 15])), /\[15, 15\].*\[16, 16\]/],
    ['with a part of another name', mora(good, one(`${path}.other`, [16, 16])), /mora_M is missing/],
  ])('%s', (_what, dir, message) => {
    expect(() => readAdapter(dir, loadBase(base).config)).toThrow(message);
  });

  it('unless it is whole', () => {
    const { adapter, variables } = readAdapter(mora(good, one(`${path}.mora_M`, [16, 16])), loadBase(base).config);
    expect(adapter.paths).toEqual([path]);
    expect([...variables.keys()]).toEqual([`${path}.mora_M`]);
  });
});

describe("a folder of the MoRA authors' fork of PEFT", () => {
  const path = 'model.layers.0.self_attn.q_proj'; // [32, 32]: a square of 16 at rank 4
  const fork = (config: object, b = 2, side = 16): string => {
    const dir = mkdtempSync(join(tmpdir(), 'moraine-fork-'));
    const square = (value: number) => ({ shape: [side, side], data: new Float32Array(side * side).fill(value) });
    const json = { peft_type: 'LORA', use_mora: true, mora_type: 6, r: 4, lora_alpha: 16, ...config };
    writeFileSync(join(dir, 'adapter_config.json'), JSON.stringify(json));
    const named = (part: string) => `base_model.model.${path}.${part}.weight`;
    const tensors = new Map([
      [named('lora_A'), square(2)],
      [named('lora_B'), square(b)],
    ]);
    writeSafetensors(join(dir, 'adapter_model.safetensors'), tensors);
    return dir;
  };

  it('is read as the MoRA that it is, without a scale', () => {
    const { adapter, variables } = readAdapter(fork({}), loadBase(base).config);
    expect(adapter.paths).toEqual([path]);
    expect([...variables.keys()]).toEqual([`${path}.mora_M`]);
    expect(variables.get(`${path}.mora_M`)?.data[5]).toBe(2);
  });

  it.each([
    ['with two matrices', fork({}, 3), /lora_A and lora_B of .* differ/],
    ['of a type that the fork does not have', fork({ mora_type: 5 }), /mora_type is 5, not one of 1, 2, 3, 4, 6\./],
    ['of another rank', fork({ r: 8 }), /\[16, 16\].*\[22, 22\]/],
  ])('is refused %s', (_, dir, message) => {
    expect(() => readAdapter(dir, loadBase(base).config)).toThrow(message);
  });
});
