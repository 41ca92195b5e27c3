import { cpSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readSafetensors, writeSafetensors } from '@moraine/engine';
import { describe, expect, it } from 'vitest';
import { failureOf, loadBase, readBaseConfig } from '../src/index.js';
import { writeTinyBase } from './tiny-base.js';

const base = writeTinyBase();

function copyOfBase(): string {
  const dir = mkdtempSync(join(tmpdir(), 'moraine-copy-'));
  cpSync(base, dir, { recursive: true });
  return dir;
}

type Tensors = ReturnType<typeof readSafetensors>['tensors'];
function withTensors(change: (tensors: Tensors) => void): string {
  const dir = copyOfBase();
  const file = join(dir, 'model.safetensors');
  const { tensors } = readSafetensors(file);
  change(tensors);
  writeSafetensors(file, tensors);
  return dir;
}

const codeOf = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    return failureOf(error).code;
  }
  return 'nothing was thrown';
};

describe('a base is refused by name of what is wrong', () => {
  it.each<[string, () => string, RegExp]>([
    [
      'a tensor is missing',
      () => withTensors((all) => all.delete('model.norm.weight')),
      /model\.norm\.weight .*missing/,
    ],
    [
      'a tensor has another shape',
      () => withTensors((all) => all.set('model.norm.weight', { shape: [31], data: new Float32Array(31) } as never)),
      /model\.norm\.weight.*\[31\].*\[32\]/,
    ],
    [
      'a tensor is not of the architecture',
      () => withTensors((all) => all.set('model.extra.weight', { shape: [1], data: new Float32Array(1) } as never)),
      /model\.extra\.weight/,
    ],
    [
      'there are no weights',
      () => {
        const dir = copyOfBase();
        rmSync(join(dir, 'model.safetensors'));
        return dir;
      },
      /model\.safetensors/,
    ],
    [
      'config.json is no JSON',
      () => {
        const dir = copyOfBase();
        writeFileSync(join(dir, 'config.json'), '{"vocab_size": ');
        return dir;
      },
      /config\.json.*not.*JSON/,
    ],
    [
      'config.json is missing',
      () => {
        const dir = copyOfBase();
        rmSync(join(dir, 'config.json'));
        return dir;
      },
      /config\.json/,
    ],
  ])('where %s', (_what, make, message) => {
    const dir = make();
    expect(() => loadBase(dir)).toThrow(message);
    expect(codeOf(() => loadBase(dir))).toBe('invalid_base');
  });

  it('but buffers that follow from the configuration may lie beside the weights', () => {
    const name = 'model.layers.0.self_attn.rotary_emb.inv_freq';
    const dir = withTensors((all) => all.set(name, { shape: [4], data: new Float32Array(4) } as never));
    expect(loadBase(dir).weights.has(name)).toBe(false);
  });

  it('and a tied head may be stored under its own name alone', () => {
    const dir = withTensors((all) => {
      const embedding = all.get('model.embed_tokens.weight');
      if (embedding) all.set('lm_head.weight', embedding);
      all.delete('model.embed_tokens.weight');
    });
    expect([...loadBase(dir).weights.keys()].sort()).toEqual([...loadBase(base).weights.keys()].sort());
  });

  it('and weights in shards with an index are the same base', () => {
    const dir = copyOfBase();
    const { tensors } = readSafetensors(join(dir, 'model.safetensors'));
    const names = [...tensors.keys()];
    const half = names.length >> 1;
    const shards = [names.slice(0, half), names.slice(half)];
    const weight_map: Record<string, string> = {};
    for (const [i, shard] of shards.entries()) {
      const file = `model-0000${i + 1}-of-00002.safetensors`;
      writeSafetensors(join(dir, file), new Map([...tensors].filter(([name]) => shard.includes(name))));
      for (const name of shard) weight_map[name] = file;
    }
    rmSync(join(dir, 'model.safetensors'));
    writeFileSync(join(dir, 'model.safetensors.index.json'), JSON.stringify({ weight_map }));
    expect([...loadBase(dir).weights.keys()].sort()).toEqual(names.sort());
  });
});

describe('the configuration of a base', () => {
  it('is read without its weights', () => {
    const dir = copyOfBase();
    rmSync(join(dir, 'model.safetensors'));
    expect(readBaseConfig(dir)).toMatchObject({ hiddenSize: 32, vocabSize: 260, maxPositions: 64 });
  });

  it('that is missing or no JSON is refused with what to do', () => {
    const dir = copyOfBase();
    renameSync(join(dir, 'config.json'), join(dir, 'config.txt'));
    expect(() => readBaseConfig(dir)).toThrow(
      expect.objectContaining({ code: 'invalid_base', hint: expect.stringMatching(/Hugging Face folder/) }),
    );
    writeFileSync(join(dir, 'config.json'), 'no');
    expect(() => readBaseConfig(dir)).toThrow(/is not JSON/);
  });
});
