import { appendFileSync, cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type AttemptEvent, CreateRunRequest, type MethodConfig } from '@moraine/contract';
import { resolveAdapter, resolveStarted } from '@moraine/contract/plan';
import { describe, expect, it } from 'vitest';
import { loadBase, planRun, readStart } from '../src/index.js';
import { lossesOf, METHODS, ofType, runOf, specOf, writeSums, writeTinyBase } from './tiny-base.js';

// Expected numbers are those of the run that the adapter is of: what it is at the end of one run it is at the start of the next.

const base = writeTinyBase();
const sums = writeSums(base, 'sums.jsonl', 12);
const read = loadBase(base);
const { model: _model, training_file: _file, ...named } = CreateRunRequest.shape;
const methodOf = (request: Record<string, unknown>): MethodConfig =>
  resolveAdapter(named.adapter.unwrap().parse(request), read.config).adapter;

/** A run of so many steps that scores the sums before and after; its adapter is that of a folder, where one is given. */
async function specFrom(adapter: MethodConfig, dir?: string) {
  const start = dir === undefined ? null : await readStart(dir, read);
  const own = start === null ? adapter : resolveStarted({}, start, read.config).adapter;
  const spec = specOf(base, sums, own, { startFrom: start?.dir ?? null });
  spec.evaluationFiles = [{ id: 'sums', name: 'sums', path: sums }];
  const config = { ...spec.config, steps: 5, evaluation: { every_steps: 5, files: ['sums'], samples: 0 } };
  return { ...spec, config: start ? { ...config, start: { model: start.model, sha256: start.sha256 } } : config };
}

const scoresOf = (events: readonly AttemptEvent[]): number[] =>
  ofType(events, 'evaluation').map(({ result }) => result.loss);
const lastCheckpoint = (events: readonly AttemptEvent[]): string => ofType(events, 'checkpoint').at(-1)?.dir ?? '';
const adapterFolder = (events: readonly AttemptEvent[]): string =>
  ofType(events, 'finished')[0]?.exports.find(({ kind }) => kind === 'adapter')?.dir ?? '';

describe('a run that starts from the adapter of another', () => {
  it.each<[string, Record<string, unknown>]>([
    ['LoRA', { type: 'lora', rank: 4, alpha: 12 }],
    ['LoRA beside norms', { type: 'lora', rank: 4, use_rslora: true, modules_to_save: ['norms', 'embeddings'] }],
    ['ReLoRA', { type: 'lora', rank: 4, restart: { every: 2, warmup: 1 } }],
    ['DoRA', { type: 'dora', rank: 4 }],
    ['PiSSA', { type: 'pissa', rank: 4 }],
    ['HiRA', { type: 'hira', rank: 4 }],
    ['MiSS', { type: 'miss', rank: 4 }],
    ['OFT', { type: 'oft', block_size: 4, rotation: 'cayley' }],
    ['GraLoRA', { type: 'gralora', rank: 4 }],
    ['MoRA 6', { type: 'mora', rank: 4, mora_type: 6 }],
    ['ReMoRA', { type: 'mora', rank: 4, restart: { every: 2, warmup: 1 } }],
  ])('begins where that ended, %s', async (name, request) => {
    const parent = await runOf(await specFrom(methodOf(request)));
    const [before = 0, after = 0] = scoresOf(parent);
    expect(Math.abs(after - before)).toBeGreaterThan(1e-3);

    const fromCheckpoint = await runOf(await specFrom({ type: 'none' }, lastCheckpoint(parent)));
    expect(scoresOf(fromCheckpoint)[0]).toBe(after);
    const folder = await specFrom({ type: 'none' }, adapterFolder(parent));
    const fromFolder = await runOf(folder);
    expect(scoresOf(fromFolder)[0]).toBeCloseTo(after, 5);
    // PiSSA's difference from the base is stored as the LoRA of twice the rank that it is.
    expect(folder.config.adapter.type).toBe(name === 'PiSSA' ? 'lora' : request.type);
    for (const losses of [lossesOf(fromCheckpoint), lossesOf(fromFolder)])
      expect(losses.every((loss) => loss < 1.2 * (lossesOf(parent)[0] ?? 0))).toBe(true);
  });

  it('goes on with the groups that ReMoRA has reached', async () => {
    const parent = await runOf(await specFrom(methodOf({ type: 'mora', rank: 4, restart: { every: 2 } })));
    // Five steps restart before the third and the fifth: from type 1 to type 3.
    for (const dir of [lastCheckpoint(parent), adapterFolder(parent)])
      expect((await readStart(dir, read)).adapter).toMatchObject({ mora_type: 3, restart: { every: 2 } });
  });

  it('resumes to the same losses, and not from another adapter', async () => {
    const parent = await runOf(specOf(base, sums, METHODS.lora ?? { type: 'none' }));
    const spec = await specFrom({ type: 'none' }, adapterFolder(parent));
    const { start } = spec.config;
    const whole = await runOf(spec);
    const outDir = mkdtempSync(join(tmpdir(), 'moraine-resumed-'));
    const stopped = await runOf({ ...spec, outDir }, 3);
    const resumed = {
      ...spec,
      outDir: mkdtempSync(join(tmpdir(), 'moraine-resumed-')),
      resumeFrom: lastCheckpoint(stopped),
    };
    // What the checkpoint holds is all that is needed.
    expect(lossesOf(await runOf({ ...resumed, startFrom: null }))).toEqual(lossesOf(whole).slice(3));
    const other = { model: 'other', sha256: '0'.repeat(64) };
    await expect(runOf({ ...resumed, config: { ...spec.config, start: other } })).rejects.toThrow(
      `'start.model' was ${JSON.stringify(start?.model)} and is "other"`,
    );
  });
});

describe('a start is refused', () => {
  const lora = async () => adapterFolder(await runOf({ ...(await specFrom(methodOf({ type: 'lora', rank: 2 }))) }));

  it('when its files changed since the run was planned', async () => {
    const spec = await specFrom({ type: 'none' }, await lora());
    appendFileSync(join(spec.startFrom ?? '', 'adapter_config.json'), ' ');
    await expect(runOf(spec)).rejects.toThrow(/changed since the run was planned/);
  });

  it('when it was trained on other weights', async () => {
    const other = writeTinyBase();
    const parent = await runOf(await specFrom(methodOf({ type: 'lora', rank: 2 })));
    const spec = await specFrom({ type: 'none' }, lastCheckpoint(parent));
    rmSync(join(other, 'model.safetensors'));
    cpSync(
      join(
        ofType(parent, 'finished')[0]?.exports.find(({ kind }) => kind === 'merged')?.dir ?? '',
        'model.safetensors',
      ),
      join(other, 'model.safetensors'),
    );
    await expect(runOf({ ...spec, baseDir: other })).rejects.toThrow(/trained on other weights than the base has/);
  });

  it('when it trained the base itself, or is none', async () => {
    const full = await runOf(await specFrom({ type: 'none' }));
    await expect(readStart(lastCheckpoint(full), read)).rejects.toThrow(/whose run trained the base itself/);
    await expect(readStart(base, read)).rejects.toThrow(/holds no adapter/);
  });

  it('when the request asks for another method than it has', async () => {
    const dir = await lora();
    const start = await readStart(dir, read);
    const plan = (adapter: Record<string, unknown>) =>
      planRun({
        request: { adapter: named.adapter.unwrap().parse(adapter) },
        baseDir: base,
        baseName: 'tiny',
        trainingFile: sums,
        otherFiles: [],
        seed: 1,
        start,
      });
    await expect(plan({ type: 'mora' })).rejects.toThrow(/'adapter.type' is "mora", but the adapter .* has "lora"/);
    await expect(plan({ rank: 3 })).rejects.toThrow(/'adapter.rank' is 3, .* has 2/);
    await expect(plan({ target_modules: ['q_proj'] })).rejects.toThrow(/'adapter.target_modules' is \["q_proj"\]/);
    await expect(plan({ restart: { every: 2 } })).rejects.toThrow(/'adapter.restart' .* has none/);
    const { adapter } = await plan({ rank: 2, alpha: 4, target_modules: 'all-linear', dropout: 0.25 });
    expect(adapter).toEqual({ ...start.adapter, dropout: 0.25 });
  });
});
