import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { TOOL_TEMPLATE_FILE } from '@moraine/data';
import { readSafetensors, writeSafetensors } from '@moraine/engine';
import type { HostTensor } from '@moraine/lm';
import { describe, expect, it } from 'vitest';
import { loadBase } from '../src/base.js';
import { type CheckpointState, folderBytes, hashBase, readCheckpoint, writeCheckpoint } from '../src/checkpoint.js';
import { fingerprint } from '../src/fingerprint.js';
import { METHODS, ofType, runOf, specOf, writeSums, writeTinyBase } from './tiny-base.js';

const base = writeTinyBase();
const sums = writeSums(base, 'sums.jsonl', 12);
const lora = METHODS.lora ?? { type: 'none' as const };
const freshFolder = (): string => mkdtempSync(join(tmpdir(), 'moraine-checkpoint-'));

const values = new Map<string, HostTensor>([
  ['layer.a', { shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) }],
  ['layer.b', { shape: [2], data: Float32Array.of(-1, 0.5) }],
  ['layer.a.m', { shape: [2, 3], data: new Float32Array(6).fill(0.25) }],
]);
const shapesOf = (names: readonly string[]) => new Map(names.map((name) => [name, values.get(name)?.shape ?? []]));
const state: CheckpointState = { format: 1, step: 7, trainedTokens: 700, mode: 'plain', fingerprint: 'f' };
const trained = {
  stateShapes: { trainable: shapesOf(['layer.a', 'layer.b']), optimizer: shapesOf(['layer.a.m']) },
  variables: (names?: readonly string[]) => new Map([...values].filter(([name]) => names?.includes(name) ?? true)),
};
const expected = { fingerprint: 'f', mode: 'plain' as const };

describe('a checkpoint', () => {
  it('gives back what was written, tensor by tensor', () => {
    const dir = writeCheckpoint(freshFolder(), state, trained, 'step\n7\n');
    const read = readCheckpoint(dir, expected);
    expect(read).toMatchObject({ ...state, resultCsv: 'step\n7\n' });
    expect(read.trainer.step).toBe(7);
    expect([...read.trainer.trainable.keys()].sort()).toEqual(['layer.a', 'layer.b']);
    expect([...read.trainer.optimizer.keys()]).toEqual(['layer.a.m']);
    for (const [name, tensor] of [...read.trainer.trainable, ...read.trainer.optimizer]) {
      expect(tensor.shape).toEqual(values.get(name)?.shape);
      expect([...tensor.data]).toEqual([...(values.get(name)?.data ?? [])]);
    }
  });

  it('is one folder named by its step, with four files and nothing temporary beside it', () => {
    const parent = freshFolder();
    const dir = writeCheckpoint(parent, state, trained, 'csv');
    expect(readdirSync(parent)).toEqual(['step-00000007']);
    expect(readdirSync(dir).sort()).toEqual([
      'optimizer.safetensors',
      'result.csv',
      'state.json',
      'trainable.safetensors',
    ]);
  });

  it('is never written into a folder that exists, which stays as it is', () => {
    const parent = freshFolder();
    const dir = writeCheckpoint(parent, state, trained, 'first');
    expect(() => writeCheckpoint(parent, state, trained, 'second')).toThrow(
      expect.objectContaining({ code: 'storage', message: `The checkpoint folder ${dir} exists already.` }),
    );
    expect(readFileSync(join(dir, 'result.csv'), 'utf8')).toBe('first');
  });

  it('that breaks off while it is written leaves no folder of its name', () => {
    const parent = freshFolder();
    const breaks = {
      ...trained,
      variables: (names?: readonly string[]) => {
        if (names?.includes('layer.a.m')) throw new Error('the device is gone');
        return trained.variables(names);
      },
    };
    expect(() => writeCheckpoint(parent, state, breaks, 'csv')).toThrow('the device is gone');
    expect(readdirSync(parent).filter((name) => name.startsWith('step-'))).toEqual([]);
    const dir = writeCheckpoint(parent, state, trained, 'csv');
    expect(readCheckpoint(dir, expected).step).toBe(7);
  });

  it('takes nothing over from one that broke off before', () => {
    const parent = freshFolder();
    mkdirSync(join(parent, '.tmp-step-7'));
    writeFileSync(join(parent, '.tmp-step-7', 'half.safetensors'), 'half');
    const dir = writeCheckpoint(parent, state, trained, 'csv');
    expect(existsSync(join(dir, 'half.safetensors'))).toBe(false);
  });

  it.each([
    ['another fingerprint', { ...expected, fingerprint: 'g' }, /step 7 is of another configuration, base or training/],
    [
      'another mode',
      { ...expected, mode: 'bf16' as const },
      /step 7 was computed in mode plain, the run asks for bf16/,
    ],
  ])('of %s is refused', (_what, wanted, message) => {
    const dir = writeCheckpoint(freshFolder(), state, trained, 'csv');
    expect(() => readCheckpoint(dir, wanted)).toThrow(
      expect.objectContaining({ code: 'checkpoint_mismatch', message: expect.stringMatching(message) }),
    );
  });

  it('of another mode is taken when forced, of another fingerprint not even then', () => {
    const dir = writeCheckpoint(freshFolder(), state, trained, 'csv');
    expect(readCheckpoint(dir, { ...expected, mode: 'bf16', forceMode: true }).mode).toBe('plain');
    expect(() => readCheckpoint(dir, { ...expected, fingerprint: 'g', forceMode: true })).toThrow(/another config/);
  });

  it('without a mode is one of the eager days', () => {
    const { mode: _mode, ...old } = state;
    const dir = writeCheckpoint(freshFolder(), old, trained, 'csv');
    expect(readCheckpoint(dir, { ...expected, mode: 'eager' }).step).toBe(7);
    expect(() => readCheckpoint(dir, expected)).toThrow(/computed in mode eager/);
  });

  it('of a base that changed is refused by the name of what changed; one from before the hashes is taken', () => {
    const hashes = { weights: 'w', 'chat_template.jinja': null };
    const dir = writeCheckpoint(freshFolder(), { ...state, base: hashes }, trained, 'csv');
    const read = (change: object) => readCheckpoint(dir, { ...expected, base: { ...hashes, ...change } });
    expect(read({}).step).toBe(7);
    expect(() => read({ weights: 'v' })).toThrow('The weights of the base changed since the checkpoint at step 7.');
    expect(() => read({ 'chat_template.jinja': 't' })).toThrow('chat_template.jinja of the base changed since');
    expect(read({ [TOOL_TEMPLATE_FILE]: null }).step).toBe(7);
    expect(() => read({ [TOOL_TEMPLATE_FILE]: 't' })).toThrow('tool_use.jinja of the base changed since');
    const old = writeCheckpoint(freshFolder(), state, trained, 'csv');
    expect(readCheckpoint(old, { ...expected, base: hashes }).step).toBe(7);
  });

  it('whose tensors are cut short is refused, not read as far as it goes', () => {
    const dir = writeCheckpoint(freshFolder(), state, trained, 'csv');
    truncateSync(join(dir, 'optimizer.safetensors'), 60);
    expect(() => readCheckpoint(dir, expected)).toThrow(/cut short|safetensors/);
  });

  it('has the size of all its files, also of those in folders', () => {
    const dir = freshFolder();
    mkdirSync(join(dir, 'deep', 'er'), { recursive: true });
    writeFileSync(join(dir, 'a'), '12345');
    writeFileSync(join(dir, 'deep', 'er', 'b'), '123');
    expect(folderBytes(dir)).toBe(8);
  });
});

describe('the fingerprint of a run', () => {
  const of = async (change: (spec: ReturnType<typeof specOf>) => void = () => undefined): Promise<string> => {
    const spec = specOf(base, sums, lora);
    spec.config = structuredClone(spec.config);
    change(spec);
    return (await fingerprint(spec)).print;
  };

  it.each<[string, Parameters<typeof of>[0]]>([
    ['seed', ({ config }) => Object.assign(config, { seed: 12 })],
    ['steps', ({ config }) => Object.assign(config, { steps: 13 })],
    ['batch size', ({ config }) => Object.assign(config, { batch_size: 5 })],
    ['learning rate', ({ config }) => Object.assign(config.optimizer, { learning_rate: 1e-4 })],
    ['schedule', ({ config }) => Object.assign(config.schedule, { type: 'linear' })],
    ['rank', ({ config }) => Object.assign(config.adapter, { rank: 5 })],
    ['training rows', (spec) => Object.assign(spec, { trainingFile: writeSums(base, 'others.jsonl', 11) })],
  ])('changes with the %s', async (_what, change) => {
    expect(await of(change)).not.toBe(await of());
  });

  it.each<[string, Parameters<typeof of>[0]]>([
    ['micro-batches', ({ config }) => Object.assign(config, { accumulation: 3 })],
    ['mode, which is compared by itself', ({ config }) => Object.assign(config, { mode: 'eager' })],
    ['distance of checkpoints', ({ config }) => Object.assign(config.checkpoint, { every_steps: 1 })],
    ['evaluations', ({ config }) => Object.assign(config.evaluation, { every_steps: 1, samples: 0 })],
    ['output folder and attempt', (spec) => Object.assign(spec, { outDir: '/elsewhere', attempt: 2 })],
    ['name of the training file', (spec) => Object.assign(spec, { trainingFile: writeSums(base, 'same.jsonl', 12) })],
  ])('stays with other %s', async (_what, change) => {
    expect(await of(change)).toBe(await of());
  });
});

describe('a checkpoint of another run', () => {
  const spec = () => {
    const own = specOf(base, sums, lora, { validationFile: sums });
    own.config = structuredClone(own.config);
    return own;
  };
  const refusal = async (change: (other: ReturnType<typeof specOf>) => void, stopping?: object): Promise<unknown> => {
    const [before, after] = [spec(), spec()];
    for (const { config } of [before, after]) if (stopping) Object.assign(config, { early_stopping: stopping });
    change(after);
    const { print, parts } = await fingerprint(before);
    const dir = writeCheckpoint(freshFolder(), { ...state, fingerprint: print, parts }, trained, 'csv');
    const now = await fingerprint(after);
    try {
      return readCheckpoint(dir, { fingerprint: now.print, parts: now.parts, mode: 'plain' }).step;
    } catch (error) {
      return error;
    }
  };

  it.each<[string, Parameters<typeof refusal>[0], RegExp]>([
    ['seed', ({ config }) => Object.assign(config, { seed: 12 }), /'seed' was 11 and is 12\./],
    ['adapter.rank', ({ config }) => Object.assign(config.adapter, { rank: 5 }), /'adapter.rank' was 4 and is 5\./],
    ['adapter.type', ({ config }) => Object.assign(config.adapter, { type: 'dora' }), /was "lora" and is "dora"\./],
    ['adapter.target_modules', ({ config }) => Object.assign(config.adapter, { target_modules: [] }), /had 14 entries/],
    ['regularize', ({ config }) => Object.assign(config, { regularize: { kl_to_base: 1 } }), /was not set and is \{/],
    ['attention_dropout', ({ config }) => Object.assign(config, { attention_dropout: 0.1 }), /not set and is 0\.1\./],
    ['early_stopping', ({ config }) => Object.assign(config, { early_stopping: { patience: 1 } }), /was not set/],
    ['training file', (s) => Object.assign(s, { trainingFile: writeSums(base, 'more.jsonl', 13) }), /file changed\./],
  ])('is refused by the name of what differs: %s', async (param, change, sentence) => {
    expect(await refusal(change)).toMatchObject({
      code: 'checkpoint_mismatch',
      param,
      message: expect.stringMatching(sentence),
    });
  });

  it.each<[string, Parameters<typeof refusal>[0]]>([
    ['evaluation.every_steps', ({ config }) => Object.assign(config.evaluation, { every_steps: 1 })],
    ['validation file', (s) => Object.assign(s, { validationFile: writeSums(base, 'valid.jsonl', 9) })],
  ])('may validate otherwise, unless that decides when it ends: %s', async (param, change) => {
    expect(await refusal(change)).toBe(7);
    expect(await refusal(change, { patience: 2, min_delta: 0 })).toMatchObject({ code: 'checkpoint_mismatch', param });
  });

  it('without the parts of its fingerprint, of an earlier version, is refused all the same', async () => {
    const { print: _, parts } = await fingerprint(spec());
    const dir = writeCheckpoint(freshFolder(), state, trained, 'csv');
    expect(() => readCheckpoint(dir, { fingerprint: 'g', parts, mode: 'plain' })).toThrow(/or training file\./);
  });
});

describe('the hashes of a base', () => {
  const copy = (change: (dir: string) => void = () => undefined): string => {
    const dir = freshFolder();
    cpSync(base, dir, { recursive: true });
    change(dir);
    return dir;
  };
  const writeTemplate = (dir: string, name: string, text: string): void => {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), text);
  };
  const hashesOf = (dir: string) => hashBase(dir, loadBase(dir));
  const editNorm = (dir: string, change: (norm: Float32Array) => void): void => {
    const file = join(dir, 'model.safetensors');
    const { tensors } = readSafetensors(file);
    const norm = tensors.get('model.norm.weight')?.data;
    if (norm instanceof Float32Array) change(norm);
    writeSafetensors(file, tensors);
  };

  it('are equal for equal files, and differ in the part that differs', async () => {
    const first = await hashesOf(base);
    expect(await hashesOf(copy())).toEqual(first);
    const nudged = await hashesOf(copy((dir) => editNorm(dir, (norm) => norm.fill(1.0001))));
    expect(nudged).toEqual({ ...first, weights: expect.not.stringMatching(String(first.weights)) });
    const written = await hashesOf(copy((dir) => writeFileSync(join(dir, 'chat_template.jinja'), '{{ messages }}')));
    expect(written).toEqual({ ...first, 'chat_template.jinja': expect.stringMatching(/^[0-9a-f]{64}$/) });
    const withTools = await hashesOf(copy((dir) => writeTemplate(dir, TOOL_TEMPLATE_FILE, '{{ tools }}')));
    expect(withTools).toEqual({ ...first, [TOOL_TEMPLATE_FILE]: expect.stringMatching(/^[0-9a-f]{64}$/) });
  });

  it('are not made of weights with NaN: a run on them is refused by the tensor and the place in it', async () => {
    const dir = copy((folder) => editNorm(folder, (norm) => norm.set([Number.NaN], 5)));
    await expect(runOf(specOf(dir, sums, lora))).rejects.toMatchObject({
      code: 'invalid_base',
      message: 'model.norm.weight [32] has NaN at [5].',
      param: 'model.norm.weight',
    });
  });

  it('keep a run from going on after its weights or its template were replaced', async () => {
    const dir = copy();
    const spec = specOf(dir, sums, lora);
    const [checkpoint] = ofType(await runOf(spec, 5), 'checkpoint');
    const resumed = () => runOf(specOf(dir, sums, lora, { resumeFrom: checkpoint?.dir ?? '' }), 6);
    expect(ofType(await resumed(), 'ready')[0]?.startStep).toBe(5);
    writeFileSync(join(dir, 'tokenizer_config.json'), JSON.stringify({ eos_token: '<|end|>' }));
    await expect(resumed()).rejects.toThrow(
      'tokenizer_config.json of the base changed since the checkpoint at step 5.',
    );
    cpSync(join(base, 'tokenizer_config.json'), join(dir, 'tokenizer_config.json'));
    editNorm(dir, (norm) => norm.fill(0.5));
    await expect(resumed()).rejects.toThrow('The weights of the base changed since the checkpoint at step 5.');
  });
});

describe('checkpoints of a run', () => {
  it('are written at their steps, each with its size and the metrics of its step', async () => {
    const spec = specOf(base, sums, lora, { validationFile: sums });
    spec.config.evaluation = { ...spec.config.evaluation, every_steps: 5 };
    const events = await runOf(spec);
    const written = ofType(events, 'checkpoint');
    expect(written.map(({ step }) => step)).toEqual([5, 10, 12]);
    for (const { step, dir, sizeBytes, metrics } of written) {
      expect(sizeBytes).toBe(folderBytes(dir));
      const values = ofType(events, 'metrics').find((event) => event.step === step)?.values;
      expect(metrics.train_loss).toBe(values?.train_loss);
      expect(metrics.full_valid_loss).toBe(values?.valid_loss);
    }
  });

  it('of a run of another configuration are refused before a step is made', async () => {
    const dir = ofType(await runOf(specOf(base, sums, lora), 5), 'checkpoint')[0]?.dir ?? null;
    const other = specOf(base, writeSums(base, 'fewer.jsonl', 9), lora, { resumeFrom: dir });
    await expect(runOf(other)).rejects.toMatchObject({ code: 'checkpoint_mismatch' });
  });
});
