import { DeletedRun } from '@moraine/contract';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { prepare, submit, train } from './fixtures.js';
import { startApi, type TestApi, type Wire } from './support.js';

let api: TestApi;
let run: Wire;
beforeAll(async () => {
  api = await startApi();
  run = await submit(api, await prepare(api), { suffix: 'bye' });
});
afterAll(() => api.close());

it('a run is cancelled or ends before it is deleted, is restored, and deleted for the days of the setting', async () => {
  const early = await api.ask('DELETE', `/v1/runs/${run.id}`);
  expect([early.status, early.json.error.code]).toEqual([409, 'conflict']);
  expect(early.json.error.message).toContain('Cancel it first');
  await train(api.services, run.id);
  const { status, json } = await api.ask('DELETE', `/v1/runs/${run.id}`);
  const deleted = DeletedRun.parse(json);
  expect([status, deleted.name, deleted.removes.checkpoints, deleted.removes.metric_points]).toEqual([
    200,
    'bye',
    2,
    20,
  ]);
  expect((deleted.restorable_until ?? 0) - deleted.deleted_at).toBe(7 * 86_400);
  for (const path of ['', '/events', '/checkpoints'])
    expect((await api.ask('GET', `/v1/fine_tuning/jobs/${run.id}${path}`)).status).toBe(404);
  for (const path of ['stream', 'metrics', 'adapter', 'logs', 'evaluations'])
    expect((await api.ask('GET', `/v1/runs/${run.id}/${path}`)).status).toBe(404);
  expect((await api.ask('GET', '/v1/runs?deleted=true')).json.data).toMatchObject([{ id: run.id, deletion: {} }]);
  expect((await api.ask('GET', '/v1/runs')).json.data).toEqual([]);
  expect((await api.ask('POST', `/v1/runs/${run.id}/restore`)).json).toMatchObject({ id: run.id, status: 'succeeded' });
  expect((await api.ask('GET', '/v1/runs?deleted=true')).json.data).toEqual([]);
});
