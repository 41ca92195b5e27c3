import { createReadStream, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { RunObject } from '@moraine/contract';
import {
  type Actor,
  addToUpload,
  cancelRun,
  createBaseFromDir,
  createFile,
  createRun,
  ensureDefaultProject,
  getRun,
  listCheckpoints,
  listEvaluations,
  openAdapter,
  readMetrics,
  type Services,
  startUpload,
  verifyRun,
} from '@moraine/services';
import { type TestServices, testServices } from '@moraine/testing';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { startWorker } from '../src/supervisor.js';
import { attemptsOf, until, untilStatus } from './helpers.js';

vi.setConfig({ testTimeout: 500_000 });

const inRepo = (path: string): string => fileURLToPath(new URL(`../../../${path}`, import.meta.url));
const dir = mkdtempSync(join(tmpdir(), 'moraine-real-'));
const lines: Record<string, unknown>[] = [];
const log = pino(
  { level: 'info' },
  { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) },
);

let t: TestServices;
let s: Services;
let actor: Actor;
let trainingFile: string;
let heldOut: string;

beforeAll(async () => {
  t = await testServices();
  s = t.services;
  actor = { projectId: (await ensureDefaultProject(s)).id, keyId: null };
  await createBaseFromDir(s, actor, { name: 'base', dir: inRepo('examples/base') });
  trainingFile = await upload('record-train.jsonl', 64);
  heldOut = await upload('record-heldout.jsonl', 2);
});
afterAll(() => t.close());

async function upload(name: string, rows: number): Promise<string> {
  const path = join(dir, name);
  const all = readFileSync(inRepo(`examples/tasks/${name}`), 'utf8').split('\n');
  writeFileSync(path, `${all.slice(0, rows).join('\n')}\n`);
  const pending = startUpload();
  await addToUpload(s, pending, name, createReadStream(path), { sizeBytesMax: 1e9 });
  const file = await createFile(s, actor, { upload: pending, purpose: 'fine-tune' });
  expect(file.problems).toEqual([]);
  return file.id;
}

const submit = (body: Record<string, unknown>): Promise<RunObject> =>
  createRun(s, actor, {
    model: 'base',
    training_file: trainingFile,
    batch_size: 2,
    seed: 7,
    max_steps: 12,
    adapter: { type: 'mora', rank: 8, dropout: 0.1 },
    checkpoint: { every_steps: 3 },
    evaluation: { files: [heldOut], samples: 1 },
    ...body,
  });

const lossesOf = async (runId: string) => {
  const { series } = await readMetrics(s, actor, runId, { buckets: 1000, names: ['train_loss', 'grad_norm'] });
  return series.map(({ name, points }) => [name, points.map(({ step, last }) => [step, last])]);
};

test('a real run whose process is killed repeats, step for step, the numbers of one that was left alone', async () => {
  const script = fileURLToPath(new URL('../dist/attempt.js', import.meta.url));
  const worker = startWorker(
    s,
    { name: 'real', pool: 'default', script, workDir: join(dir, 'work'), version: '0', threads: 1 },
    log,
  );
  try {
    const whole = await submit({});
    await untilStatus(s, whole.id, 'succeeded', 200_000);
    const killed = await submit({});
    await until(
      'a checkpoint',
      async () => (await s.db.checkpoint.count({ where: { runId: killed.id, step: { gte: 3 } } })) > 0,
    );
    const started = lines.findLast(({ msg }) => msg === 'training process started');
    expect(started).toMatchObject({ runId: killed.id, attempt: 1 });
    process.kill(Number(started?.childPid), 'SIGKILL');
    await untilStatus(s, killed.id, 'succeeded', 200_000);
    expect((await attemptsOf(s, killed.id)).map(({ status, startStep }) => [status, startStep > 0])).toEqual([
      ['failed', false],
      ['finished', true],
    ]);
    const losses = await lossesOf(whole.id);
    expect(losses[1]?.[1]).toHaveLength(12);
    expect(await lossesOf(killed.id)).toEqual(losses);

    const object = await getRun(s, actor, killed.id);
    expect(object).toMatchObject({ status: 'succeeded', progress: { step: 12, steps: 12 } });
    expect(object.exports).toContain('adapter');
    expect(object.result_files).toHaveLength(1);
    const { filename, stream } = await openAdapter(s, actor, killed.id, { format: 'native', lambda: 1 }, () =>
      Promise.reject(new Error('it is stored')),
    );
    expect(filename).toMatch(/\.tar$/);
    let bytes = 0;
    for await (const chunk of stream) bytes += (chunk as Buffer).length;
    expect(bytes).toBeGreaterThan(1_000);
    const evaluations = await listEvaluations(s, actor, killed.id);
    expect(evaluations.data.map(({ step }) => step)).toEqual([0, 12]);

    // What the first run was at its end is what the next begins with.
    const next = await submit({ model: object.fine_tuned_model, adapter: undefined, max_steps: 2 });
    expect(next.config).toMatchObject({ adapter: object.config.adapter, start: { run_id: killed.id } });
    await untilStatus(s, next.id, 'succeeded', 200_000);
    const again = await listEvaluations(s, actor, next.id);
    expect(again.data.map(({ step, loss }) => [step, loss])[0]).toEqual([0, evaluations.data[1]?.loss]);

    // No loss falls by 50 nats: the second evaluation without an improvement, at step 6, is the last.
    const early = await submit({
      validation_file: heldOut,
      evaluation: { every_steps: 2 },
      early_stopping: { patience: 2, min_delta: 50 },
    });
    await untilStatus(s, early.id, 'succeeded', 200_000);
    const ended = await getRun(s, actor, early.id);
    const { series: valid } = await readMetrics(s, actor, early.id, { buckets: 1000, names: ['valid_loss'] });
    const points = valid[0]?.points ?? [];
    const best = points.reduce((a, b) => (b.last < a.last ? b : a)).step;
    expect(points.map(({ step }) => step)).toEqual([2, 4, 6]);
    expect(ended).toMatchObject({ progress: { step: 6, steps: 12 }, result_step: best, error: null });
    expect(ended.state_reason).toMatchObject({
      code: 'stopped_early',
      message: expect.stringMatching(/^Stopped early at step 6 of 12: /),
    });
    const { data: saved } = await listCheckpoints(s, actor, early.id, { limit: 10 });
    expect(saved.filter(({ is_best }) => is_best).map(({ step_number }) => step_number)).toEqual([best]);

    // The check at the end of a run, and that of a run that has ended, which is a task of its own.
    const checked = await submit({ verify_resume: true });
    await untilStatus(s, checked.id, 'succeeded', 200_000);
    const equal = { status: 'equal', difference: null, repeated_on: expect.stringContaining('TensorFlow') };
    expect((await getRun(s, actor, checked.id)).resume_check).toMatchObject({ ...equal, from_step: 10, to_step: 12 });
    expect(object.resume_check).toBeNull();
    expect((await verifyRun(s, actor, killed.id)).resume_check?.status).toBe('queued');
    const checkOf = async () => (await getRun(s, actor, killed.id)).resume_check;
    await until('the check has ended', async () => !/queued|running/.test((await checkOf())?.status ?? 'queued'));
    expect(await checkOf()).toMatchObject({ ...equal, from_step: 9, to_step: 12 });
    expect((await getRun(s, actor, killed.id)).status).toBe('succeeded');
    expect(await lossesOf(killed.id)).toEqual(losses);

    const long = await submit({ hyperparameters: { n_epochs: 20 }, max_steps: 600 });
    await until('it trains', async () => (await getRun(s, actor, long.id)).progress.step > 0);
    const began = Date.now();
    await cancelRun(s, actor, long.id);
    await untilStatus(s, long.id, 'cancelled');
    const tookMs = Date.now() - began;
    const { series } = await readMetrics(s, actor, long.id, { buckets: 1000, names: ['step_ms'] });
    const stepMs = Math.max(...(series[0]?.points.map(({ max }) => max) ?? []));
    // Within two seconds, or one step and what it takes to say so.
    expect(tookMs).toBeLessThan(Math.max(2_000, stepMs + 2_000));
  } finally {
    await worker.drain();
  }
});
