import { AnalysisRow, AnalysisTaskObject } from '@moraine/contract';
import { drawCanaries } from '@moraine/contract/analyses';
import { claimRun, finishAnalysis, markAnalysing, recordRows, registerWorker } from '@moraine/services';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { prepare } from './fixtures.js';
import { fileForm, startApi, type TestApi } from './support.js';

let api: TestApi;
let body: { kind: string; model: string; file: string };
beforeAll(async () => {
  api = await startApi();
  const { model } = await prepare(api);
  const drawn = drawCanaries('digits', { count: 2, controls: 0, seed: 1 });
  const planted = { kind: 'digits', seed: 1, repeat: 1, row_format: 'chat', ...drawn };
  const text = JSON.stringify({ format: 'moraine-canaries', format_version: 1, ...planted });
  const file = (await api.ask('POST', '/v1/files', { body: fileForm(text, { purpose: 'evals' }) })).json.id;
  body = { kind: 'canaries', model, file };
});
afterAll(() => api.close());

const path = '/v1/analyses';

it('an analysis is made once under its key, shown, read row by row, listed and cancelled over HTTP', async () => {
  const headers = { 'idempotency-key': 'one' };
  const created = AnalysisTaskObject.parse((await api.ask('POST', path, { body, headers })).json);
  expect((await api.ask('POST', path, { body, headers })).json.id).toBe(created.id);
  const s = api.services;
  const device = { kind: 'cpu' as const, name: 'test', tensorflow: null, bfloat16: null };
  const worker = { name: 'test', pool: 'default', host: 'here', pid: process.pid, version: '0.1.0', cores: 1 };
  const claim = await claimRun(s, { workerId: await registerWorker(s, { ...worker, device, memoryBytes: 1 }), pool: 'default' }); // biome-ignore format: one line
  if (claim?.kind !== 'analyse') throw new Error('no analysis');
  const where = { kind: 'cpu' as const, name: 'test', tensorflow: '2', threads: 1 };
  const begun = { from: 0, total: 2, others: 0, secondsToReady: 1 };
  await markAnalysing(s, claim.token, { type: 'analysing', at: 0, device: where, ...begun });
  const row = { is_planted: true, log_probability: -1, rank: 1, candidates: 1024, exposure: 10, answer: '1' };
  const rows = [0, 1].map((index) => ({
    index,
    row: { id: `c-${index}`, ...row, is_extracted: false, characters: 0 },
  }));
  await recordRows(s, claim.token, rows);
  await finishAnalysis(s, claim.token);
  const one = AnalysisTaskObject.parse((await api.ask('GET', `${path}/${created.id}`)).json);
  expect(one).toMatchObject({ status: 'succeeded', summary: { kind: 'canaries', planted: { n: 2 } } });
  const page = (await api.ask('GET', `${path}/${created.id}/rows?after=0&include=singular_values`)).json;
  expect(page.data.map((each) => AnalysisRow.parse(each))).toEqual([rows[1]]);
  const [event] = (await api.ask('GET', `${path}/${created.id}/events`)).json.data;
  expect(event).toMatchObject({ message: expect.stringMatching(/^The analysis succeeded: exposure 10\.00/) });
  const waiting = (await api.ask('POST', path, { body: { ...body, pool: 'none' } })).json.id;
  const listed = await api.ask('GET', `${path}?kind=canaries&status=queued`);
  expect(listed.json.data.map(({ id }) => id)).toEqual([waiting]);
  expect((await api.ask('POST', `${path}/${waiting}/cancel`)).json).toMatchObject({ status: 'cancelled' });
});

it.each([
  [{ kind: 'weights', file: undefined }, 400, 'model'],
  [{ file: 'file-none' }, 404, 'file'],
  [{ kind: 'weihgts' }, 400, 'kind'],
])('%j is refused by its key', async (more, status, param) => {
  const refused = await api.ask('POST', path, { body: { ...body, ...more } });
  expect([refused.status, refused.json.error.param]).toEqual([status, param]);
});
