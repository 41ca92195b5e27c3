import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AttemptEvent, RunConfig, TrainSpec } from '@moraine/contract';
import { countAgain } from '@moraine/contract/plan';
import { beforeAll, describe, expect, it } from 'vitest';
import { planRun, rehearseRun } from '../src/index.js';
import { lossesOf, METHODS, ofType, runOf, specOf, writeSums, writeTinyBase } from './tiny-base.js';

const base = writeTinyBase();
const sums = writeSums(base, 'sums.jsonl', 30);
const old = join(base, 'old.jsonl');
writeFileSync(
  old,
  Array.from(
    { length: 8 },
    (_, i) => `${JSON.stringify({ prompt: `${'ab'.repeat(1 + (i % 3))}:`, completion: `${i}z` })}\n`,
  ).join(''),
);
const lora = METHODS.lora ?? { type: 'none' as const };
const mix = [
  { file_id: sums, weight: 2, role: 'target' as const },
  { file_id: old, weight: 1, role: 'source' as const },
];

const mixedSpec = (config: Partial<RunConfig> = {}, patch: Partial<TrainSpec> = {}): TrainSpec => {
  const spec = specOf(base, sums, lora, { mixFiles: [{ id: old, name: 'old.jsonl', path: old }], ...patch });
  Object.assign(spec.config, { data_mix: mix, ...config });
  return spec;
};
const valuesOf = (events: readonly AttemptEvent[], name: string) =>
  ofType(events, 'metrics').map(({ values }) => values[name] ?? Number.NaN);
const messagesOf = (events: readonly AttemptEvent[]): string[] => ofType(events, 'message').map((one) => one.message);
const lastCheckpoint = (events: readonly AttemptEvent[]): string => ofType(events, 'checkpoint').at(-1)?.dir ?? '';

describe('a run on a mix', () => {
  let events: AttemptEvent[];
  beforeAll(async () => {
    events = await runOf(mixedSpec());
  });

  it('trains on the rows of both files and says what part each is', () => {
    expect(ofType(events, 'ready')[0]?.rows).toBe(38);
    // 12 steps of 6: 48 draws of 30 rows, 24 of 8.
    expect(messagesOf(events).filter((message) => message.includes('of the tokens'))).toEqual([
      expect.stringMatching(
        /^Training file: target, 66.7 % of the rows and [\d.]+ % of the tokens; a row is shown 1.6 times.$/,
      ),
      expect.stringMatching(/^Training file old.jsonl: source, 33.3 % of the rows .* shown 3 times.$/),
    ]);
  });

  // Each step has 4 target rows of 2 supervised tokens or more and 2 source rows of 3.
  it('measures the loss of each role; the loss of the step is their mean by tokens', () => {
    const [all, target, source] = ['train_loss', 'train_loss_target', 'train_loss_source'].map((name) =>
      valuesOf(events, name),
    );
    for (const [i, loss] of (all ?? []).entries()) {
      const share = ((target?.[i] ?? 0) - loss) / ((target?.[i] ?? 0) - (source?.[i] ?? 0));
      const tokens = share * (valuesOf(events, 'supervised_tokens')[i] ?? 0);
      expect(tokens, `source tokens of step ${i + 1}`).toBeCloseTo(6, 1);
    }
  });

  it.each(['lora', 'full'])('repeats its losses to the bit after a resume (%s)', async (method) => {
    const adapter = METHODS[method] ?? lora;
    const whole = method === 'lora' ? events : await runOf(mixedSpec({ adapter }));
    const cut = await runOf(mixedSpec({ adapter }), 7);
    const rest = await runOf(mixedSpec({ adapter }, { resumeFrom: lastCheckpoint(cut) }));
    expect([...lossesOf(cut), ...lossesOf(rest)]).toEqual(lossesOf(whole));
    expect(valuesOf(rest, 'train_loss_source')).toEqual(valuesOf(whole, 'train_loss_source').slice(7));
  });

  it('has losses that do not depend on how a step is computed', async () => {
    const other = await runOf(
      mixedSpec({
        packing: false,
        accumulation: 3,
        mode: 'eager',
        steps: 4,
        adapter: { ...lora, dropout: 0 } as RunConfig['adapter'],
      }),
    );
    const one = await runOf(
      mixedSpec({ accumulation: 1, steps: 4, adapter: { ...lora, dropout: 0 } as RunConfig['adapter'] }),
    );
    for (const name of ['train_loss', 'train_loss_target', 'train_loss_source'])
      for (const [i, value] of valuesOf(one, name).entries()) expect(valuesOf(other, name)[i]).toBeCloseTo(value, 4);
  });

  it('goes on where the files lie elsewhere, and refuses another file or weight by name', async () => {
    const dir = lastCheckpoint(await runOf(mixedSpec(), 7));
    const copy = join(base, 'copy.jsonl');
    copyFileSync(old, copy);
    const moved = mix.map((file) => (file.file_id === old ? { ...file, file_id: copy } : file));
    const resumed = (config: Partial<RunConfig>, path: string) =>
      runOf(mixedSpec(config, { resumeFrom: dir, mixFiles: [{ id: path, name: 'x', path }] }), 1);
    expect(lossesOf(await resumed({ data_mix: moved }, copy))).toEqual([lossesOf(events)[7]]);
    writeFileSync(copy, readFileSync(old, 'utf8').replace('0z', '0y'));
    await expect(resumed({ data_mix: moved }, copy)).rejects.toMatchObject({
      code: 'checkpoint_mismatch',
      message: expect.stringContaining('file 2 of data_mix changed'),
    });
    const heavier = mix.map((file) => ({ ...file, weight: 3 }));
    await expect(resumed({ data_mix: heavier }, old)).rejects.toMatchObject({
      code: 'checkpoint_mismatch',
      message: expect.stringContaining('data_mix.0.weight'),
    });
  });
});

it('rows that two training files have, and rows of either that are scored, are said', async () => {
  const shared = join(base, 'shared.jsonl');
  writeFileSync(shared, readFileSync(old, 'utf8').split('\n').slice(0, 2).join('\n'));
  const spec = mixedSpec(
    { data_mix: [...mix, { file_id: shared, weight: 1, role: 'target' }], steps: 1 },
    { validationFile: shared },
  );
  spec.mixFiles?.push({ id: shared, name: 'shared.jsonl', path: shared });
  const said = messagesOf(await runOf(spec)).filter((message) => message.includes('word for word'));
  expect(said).toContainEqual(
    expect.stringMatching(/^Training file shared.jsonl: 2 rows are in a training file before it/),
  );
  expect(said).toContainEqual(expect.stringMatching(/^Validation file: 2 rows are in the training file too/));
});

describe('a divergence from the base', () => {
  const regularized = (on: 'task' | 'replay', kl_to_base = 4) => ({
    regularize: { kl_to_base, on },
    steps: 10,
    adapter: { ...lora, dropout: 0 } as RunConfig['adapter'],
  });

  it('is exactly 0 at the first step, and on replay rows smaller at the end than where it is only measured', async () => {
    const kept = valuesOf(await runOf(mixedSpec(regularized('replay'))), 'kl_to_base');
    const free = valuesOf(await runOf(mixedSpec(regularized('replay', 0))), 'kl_to_base');
    expect([kept[0], free[0]]).toEqual([0, 0]);
    expect(kept.at(-1)).toBeLessThan(0.7 * (free.at(-1) ?? 0));
  });

  it('is measured on the rows that it is taken on', async () => {
    const [task, replay] = [
      await runOf(mixedSpec(regularized('task', 0))),
      await runOf(mixedSpec(regularized('replay', 0))),
    ];
    expect(lossesOf(task)).toEqual(lossesOf(replay));
    expect(valuesOf(task, 'kl_to_base').slice(1)).not.toEqual(valuesOf(replay, 'kl_to_base').slice(1));
  });

  it('is absent in a step without such rows, whose loss is of one role', async () => {
    const config = { ...regularized('replay'), batch_size: 1, accumulation: 1, steps: 6 };
    const events = await runOf(mixedSpec(config));
    // Draws are target, target, source in turn.
    expect(valuesOf(events, 'kl_to_base').map(Number.isNaN)).toEqual([true, true, false, true, true, false]);
    expect(valuesOf(events, 'train_loss_source').every(Number.isNaN)).toBe(true);
  });
});

describe('a plan on files of this machine', () => {
  const request = {
    data_mix: [
      { file_id: sums, weight: 2, role: 'target' as const },
      { file_id: old, weight: 1, role: 'source' as const },
    ],
    batch_size: 5,
    hyperparameters: { n_epochs: 2 },
  };
  const plan = {
    request,
    baseDir: base,
    baseName: 'tiny',
    trainingFile: sums,
    mixFiles: [old],
    otherFiles: [],
    seed: 1,
  };

  it('counts an epoch by the target rows, and is rehearsed with the shares', async () => {
    const config = await planRun(plan);
    expect(config).toMatchObject({ steps: 18, data_mix: mix }); // 2 x 30 x 3/2 rows in steps of 5
    const rehearsed = await rehearseRun(plan);
    expect(rehearsed.config).toEqual(countAgain(config, 45));
    expect(rehearsed.shares).toEqual([
      expect.stringMatching(/^Training file: target/),
      expect.stringMatching(/old.jsonl: source/),
    ]);
  });

  it('names a file of the mix that is not there', async () => {
    await expect(planRun({ ...plan, mixFiles: [join(base, 'none.jsonl')] })).rejects.toMatchObject({
      code: 'not_found',
    });
  });
});
