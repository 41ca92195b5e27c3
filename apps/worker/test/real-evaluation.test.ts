import { createReadStream, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type EvaluationTaskObject, isTerminal } from '@moraine/contract';
import type { EvaluationItem } from '@moraine/contract/suites';
import {
  type Actor,
  addToUpload,
  cancelEvaluation,
  compareEvaluations,
  createAnalysis,
  createBaseFromDir,
  createEvaluation,
  createFile,
  createRun,
  ensureDefaultProject,
  getAnalysis,
  getEvaluation,
  getRun,
  listAnalysisRows,
  listEvaluationEvents,
  listEvaluationItems,
  type Services,
  startUpload,
} from '@moraine/services';
import { type TestServices, testServices } from '@moraine/testing';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { startWorker } from '../src/supervisor.js';
import { until, untilStatus } from './helpers.js';

// Evaluations by a real worker and its real child: TensorFlow on the base of the examples.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

const inRepo = (path: string): string => fileURLToPath(new URL(`../../../${path}`, import.meta.url));
const dir = mkdtempSync(join(tmpdir(), 'moraine-evaluation-'));
const lines: Record<string, unknown>[] = [];
const log = pino(
  { level: 'info' },
  { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) },
);

let t: TestServices;
let s: Services;
let actor: Actor;
let worker: ReturnType<typeof startWorker>;
let questions: string;
let prompts: string;
let tuned: string;

async function upload(name: string, rows: readonly unknown[], purpose = 'evals'): Promise<string> {
  const path = join(dir, name);
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const pending = startUpload();
  await addToUpload(s, pending, name, createReadStream(path), { sizeBytesMax: 1e9 });
  return (await createFile(s, actor, { upload: pending, purpose })).id;
}

beforeAll(async () => {
  t = await testServices();
  s = t.services;
  actor = { projectId: (await ensureDefaultProject(s)).id, keyId: null };
  await createBaseFromDir(s, actor, { name: 'base', dir: inRepo('examples/base') });
  const rows = readFileSync(inRepo('examples/tasks/record-train.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { prompt: string; completion: string });
  const asked = rows.slice(0, 700);
  questions = await upload(
    'questions.jsonl',
    asked.map(({ prompt, completion }, i) => ({
      query: prompt,
      choices: [completion, asked[(i + 1) % asked.length]?.completion],
      gold: 0,
    })),
  );
  prompts = await upload(
    'prompts.jsonl',
    asked.slice(0, 64).map(({ prompt, completion }) => ({ prompt, expected: completion })),
  );
  const script = fileURLToPath(new URL('../dist/attempt.js', import.meta.url));
  const settings = { name: 'real', pool: 'default', script, workDir: join(dir, 'work'), version: '0', threads: 1 };
  worker = startWorker(s, settings, log);
  const run = await createRun(s, actor, {
    model: 'base',
    training_file: await upload('train.jsonl', asked.slice(0, 64), 'fine-tune'),
    batch_size: 8,
    max_steps: 4,
    seed: 1,
    adapter: { type: 'lora', rank: 4 },
    optimizer: { learning_rate: 1e-3 },
  });
  await untilStatus(s, run.id, 'succeeded', 200_000);
  tuned = (await getRun(s, actor, run.id)).fine_tuned_model ?? '';
});
afterAll(async () => {
  await worker?.drain();
  await t.close();
});

const submit = (body: object): Promise<EvaluationTaskObject> =>
  createEvaluation(s, actor, { model: 'base', suite: 'choices', file: questions, ...body });

async function ended(id: string): Promise<EvaluationTaskObject> {
  await until(`${id} has ended`, async () => isTerminal((await getEvaluation(s, actor, id)).status));
  return getEvaluation(s, actor, id);
}

const itemsOf = async (id: string): Promise<EvaluationItem[]> =>
  (await listEvaluationItems(s, actor, id, { limit: 1000 })).data;

const childOf = (id: string) =>
  Number(lines.findLast(({ msg, runId }) => msg === 'training process started' && runId === id)?.childPid);

test('an evaluation whose process is killed ends with the items of one that was left alone, and at λ 0 an adapter is its base, to the bit', async () => {
  const whole = await ended((await submit({ limit: 400 })).id);
  expect(whole).toMatchObject({
    status: 'succeeded',
    error: null,
    progress: { items: 400, total: 400 },
    summary: { suite: 'choices', n: 400, metric: 'acc' },
  });
  const items = await itemsOf(whole.id);
  expect(items.map(({ index }) => index)).toEqual(Array.from({ length: 400 }, (_, i) => i));

  const killed = await submit({ limit: 400, model: tuned, lambda: 0 });
  await until('some items are stored', async () => (await getEvaluation(s, actor, killed.id)).progress.items > 0);
  process.kill(childOf(killed.id), 'SIGKILL');
  const object = await ended(killed.id);
  expect(object).toMatchObject({ status: 'succeeded', lambda: 0, tuned: { step: 4 }, summary: whole.summary });
  expect(object.attempts.map(({ status, start_step }) => [status, start_step > 0])).toEqual([
    ['failed', false],
    ['finished', true],
  ]);
  expect(await itemsOf(killed.id)).toEqual(items);
  const { data } = await listEvaluationEvents(s, actor, killed.id, { limit: 20 });
  expect(data.map(({ message }) => message)).toContainEqual(
    expect.stringMatching(
      /^The training process was ended by SIGKILL\. The evaluation is queued again and goes on from its last item\.$/,
    ),
  );

  const adapted = await ended((await submit({ limit: 400, model: tuned })).id);
  expect(adapted.items_sha256).toBe(whole.items_sha256);
  expect(await itemsOf(adapted.id)).not.toEqual(items);
  const compared = await compareEvaluations(s, actor, adapted.id, { with: whole.id, limit: 5 });
  expect(compared.n).toBe(400);
  expect(compared.difference).toBeCloseTo(compared.value - compared.baseline_value, 12);
});

test('an evaluation that is cancelled while it draws answers stops within two seconds and keeps what it has', async () => {
  const { id } = await submit({ suite: 'answers', file: prompts, sampling: { samples: 6, temperature: 1 } });
  await until('it has answers', async () => (await getEvaluation(s, actor, id)).progress.items > 0);
  const began = performance.now();
  await cancelEvaluation(s, actor, id);
  const object = await ended(id);
  expect(performance.now() - began).toBeLessThan(2_000);
  expect(object).toMatchObject({ status: 'cancelled', summary: null, progress: { total: 64 } });
  const { data } = await listEvaluationItems(s, actor, id, { limit: 100, include: 'samples' });
  expect(data).toHaveLength(object.progress.items);
  for (const { samples, metrics } of data) {
    expect(samples).toHaveLength(6);
    expect(metrics['pass@6']).toBe(samples?.some(({ verdict }) => verdict === 'right') ? 1 : 0);
  }
});

test('a file that is none of the suite fails the evaluation at its line, and is not tried again', async () => {
  const { id } = await submit({ suite: 'gsm8k', fewshot: 0 });
  const { status, error, attempts } = await ended(id);
  expect(status).toBe('failed');
  expect(error).toMatchObject({ code: 'invalid_file', message: expect.stringContaining('Line 1') });
  expect(attempts).toHaveLength(1);
});

test('an analysis of weights whose process is killed ends with the rows of one that was left alone; at λ 0 nothing has changed', async () => {
  const analyse = async (body: object): Promise<string> =>
    (await createAnalysis(s, actor, { kind: 'weights', model: tuned, ...body })).id;
  const done = async (id: string) => {
    await until(`${id} has ended`, async () => isTerminal((await getAnalysis(s, actor, id)).status));
    return getAnalysis(s, actor, id);
  };
  const rowsOf = async (id: string) =>
    (await listAnalysisRows(s, actor, id, { limit: 100, include: 'singular_values' })).data;
  const killed = await analyse({});
  await until('some rows are stored', async () => (await getAnalysis(s, actor, killed)).progress.rows > 0);
  process.kill(childOf(killed), 'SIGKILL');
  const again = await done(killed);
  expect(again.attempts.map(({ status, start_step }) => [status, start_step > 0])).toEqual([
    ['failed', false],
    ['finished', true],
  ]);
  const whole = await done(await analyse({}));
  expect(whole).toMatchObject({ status: 'succeeded', tuned: { step: 4 }, summary: again.summary });
  const rows = await rowsOf(killed);
  expect(rows.map(({ index }) => index)).toEqual(Array.from({ length: whole.progress.total ?? 0 }, (_, i) => i));
  expect(await rowsOf(whole.id)).toEqual(rows);
  const none = await done(await analyse({ lambda: 0, layers: 'layers.0.self_attn' }));
  const modules = none.summary?.kind === 'weights' ? none.summary.modules : [];
  expect(modules.length).toBeGreaterThan(1);
  for (const each of modules) expect(each).toMatchObject({ relative_norm: 0, rank_90: 0, control: null, step: 4 });
});
