import { type ExperimentObject, newId } from '@moraine/contract';
import { ExperimentCurves, type ExperimentFrontier, type ExperimentTable } from '@moraine/contract/experiments';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { prepare } from './fixtures.js';
import { chatRows, fileForm, startApi, type TestApi } from './support.js';

let api: TestApi;
let experiment: ExperimentObject;
const files = { validation: '', test: '', source: '' };

/** LoRA and full at one rate each, three seeds: what their runs did is written as workers write it. */
beforeAll(async () => {
  api = await startApi();
  const { model, file } = await prepare(api);
  for (const [i, name] of (['validation', 'test', 'source'] as const).entries())
    files[name] = (await api.ask('POST', '/v1/files', { body: fileForm(chatRows(9 + i)) })).json.id;
  const made = await api.ask('POST', '/v1/experiments', {
    body: {
      name: 'which one',
      model,
      training_file: file,
      evaluation: { validation: files.validation, test: files.test, source: [files.source] },
      fixed: { max_steps: 10, batch_size: 2 },
      arms: [
        { name: 'lora', adapter: { type: 'lora', rank: 2 }, learning_rates: [1e-3] },
        { name: 'full', adapter: 'full', learning_rates: [1e-4] },
      ],
    },
  });
  if (made.status !== 200) throw new Error(made.text);
  experiment = made.json as unknown as ExperimentObject;
  for (const { run_id, arm, seed } of experiment.cells) if (run_id) await endRun(run_id, arm, seed);
});
afterAll(() => api.close());

async function endRun(runId: string, arm: string, seed: number): Promise<void> {
  const { db } = api.services;
  const loss = (arm === 'lora' ? 1 : 0.5) + ({ 2: 0, 3: 0.2, 4: 0.1 }[seed] ?? 0);
  const kept = arm === 'lora' ? 2.1 : 2.4;
  await db.task.update({ where: { id: runId }, data: { status: 'succeeded', finishedAt: new Date() } });
  await db.run.update({ where: { id: runId }, data: { step: 10, trainedTokens: 640n } });
  for (const [fileId, before, after, bytes] of [
    [files.validation, 3, loss - 0.1, 1],
    [files.test, 3, loss, 1],
    [files.source, 2, 2, kept],
  ] as const)
    for (const [step, value, bitsPerByte] of [
      [0, before, 2],
      [10, after, bytes],
    ] as const)
      await db.evaluation.create({
        data: {
          id: newId('evaluation'),
          projectId: api.projectId,
          runId,
          attempt: 1,
          fileId,
          name: fileId,
          step,
          rows: 9,
          supervisedTokens: 30,
          loss: value,
          bitsPerByte,
          tokenAccuracy: 0.5,
        },
      });
}

const get = (path: string, headers: Record<string, string> = {}) =>
  api.ask('GET', `/v1/experiments/${experiment.id}/${path}`, { headers });

describe('results of an experiment', () => {
  it('are a table with intervals over the seeds and differences paired by seed', async () => {
    const { status, json } = await get('table');
    expect(status).toBe(200);
    const { rows, not_comparable, metric } = json as unknown as ExperimentTable;
    expect(metric).toBe('loss');
    expect(rows.map(({ arm }) => arm)).toEqual(['lora', 'full']);
    // Test losses 1.0, 1.2, 1.1: half of SciPy's t-interval is 0.24841377
    expect(rows[0]?.learned).toMatchObject({ mean: expect.closeTo(1.1, 9), half: expect.closeTo(0.24841377, 7), n: 3 });
    expect(rows[0]?.kept?.mean).toBeCloseTo(0.1, 9);
    expect(rows[1]?.difference?.learned?.mean).toBeCloseTo(-0.5, 9);
    expect(rows[1]?.yardstick).toMatch(/^yardstick, /);
    expect(not_comparable.map(({ factor }) => factor)).toContain('learning_rate');
  });

  it('are curves, and a plane with the base at the origin', async () => {
    const curves = ExperimentCurves.parse((await get('curves')).json);
    expect(curves.panels.map(({ quantity }) => quantity)).toEqual(expect.arrayContaining(['loss', 'kept']));
    const { runs, front, gauge, rows } = (await get('frontier')).json as unknown as ExperimentFrontier;
    expect(rows).toBe('validation');
    expect(runs).toHaveLength(6);
    expect(front[0]).toMatchObject({ run_id: null, x: 0, y: 0 });
    expect(gauge.refusal).toMatch(/^no claim is made/);
  });

  it('are a report with every setting that the runs had', async () => {
    const { text, headers } = await get('report?format=md');
    expect(headers.get('content-type')).toBe('text/markdown; charset=utf-8');
    expect(text).toMatch(/^# which one\n/);
    for (const line of [
      '| `fixed.max_steps` | 10 |',
      '| `batch_size` | 2 |',
      '| `adapter.rank` | 2 |  |',
      '1.1 ± 0.2484',
    ])
      expect(text).toContain(line);
    for (const { run_id } of experiment.cells) expect(text).toContain(`\`${run_id}\``);
    expect((await get('report')).json).toMatchObject({ object: 'experiment.report', markdown: text });
  });

  it.each([
    ['table?format=csv', 'text/csv; charset=utf-8', /^arm,method,/],
    ['table?format=md', 'text/markdown; charset=utf-8', /^## Learned and kept/],
    ['curves?format=svg', 'image/svg+xml; charset=utf-8', /^<svg /],
    ['curves?format=csv', 'text/csv; charset=utf-8', /^quantity,unit,arm,/],
    ['frontier?format=svg', 'image/svg+xml; charset=utf-8', /^<svg /],
    ['frontier?format=csv&metric=token_accuracy', 'text/csv; charset=utf-8', /^run_id,arm,/],
    ['frontier?format=md', 'text/markdown; charset=utf-8', /^## The plane/],
  ])('%s is %s', async (path, type, text) => {
    const found = await get(path);
    expect([found.status, found.headers.get('content-type')]).toEqual([200, type]);
    expect(found.text).toMatch(text);
  });

  it('have the form that the header asks for, unless the query names one', async () => {
    const typeOf = async (path: string, accept: string) => (await get(path, { accept })).headers.get('content-type');
    expect(await typeOf('table', 'text/csv')).toMatch(/^text\/csv/);
    expect(await typeOf('table', 'image/svg+xml, text/markdown;q=0.5')).toMatch(/^text\/markdown/);
    expect(await typeOf('table', 'text/html, */*')).toMatch(/^application\/json/);
    expect(await typeOf('table?format=json', 'text/csv')).toMatch(/^application\/json/);
  });

  it.each([
    ['table?format=svg', 400, 'format'],
    ['table?metric=bleu', 400, 'metric'],
    ['curves?metric=loss', 400, 'metric'],
  ])('%s is refused', async (path, status, param) => {
    const found = await get(path);
    expect([found.status, found.json.error.param]).toEqual([status, param]);
  });

  it('of another project are not there', async () => {
    const key = await api.foreignKey();
    for (const name of ['table', 'curves', 'frontier', 'report'])
      expect((await api.ask('GET', `/v1/experiments/${experiment.id}/${name}`, { key })).status).toBe(404);
  });
});
