import { EvaluationComparison, EvaluationTaskObject } from '@moraine/contract';
import { EvaluationItem } from '@moraine/contract/suites';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { playEvaluation, prepare } from './fixtures.js';
import { startApi, type TestApi } from './support.js';

let api: TestApi;
let made: { model: string; file: string };
beforeAll(async () => {
  api = await startApi();
  made = await prepare(api);
});
afterAll(() => api.close());

const path = '/v1/evaluations';
const body = (more: object = {}) => ({ model: made.model, suite: 'file', file: made.file, ...more });

const evaluate = (rights: readonly boolean[]) => playEvaluation(api.services, rights);

it('an evaluation is made once under its key, listed, shown, read item by item, compared and cancelled over HTTP', async () => {
  const headers = { 'idempotency-key': 'one' };
  const first = await api.ask('POST', path, { body: body(), headers });
  const again = await api.ask('POST', path, { body: body(), headers });
  const created = EvaluationTaskObject.parse(first.json);
  expect([first.status, created.status, again.json.id]).toEqual([200, 'queued', created.id]);
  expect((await api.ask('POST', path, { body: body({ limit: 2 }), headers })).status).toBe(409);
  await evaluate([true, false, true]);
  const one = EvaluationTaskObject.parse((await api.ask('GET', `${path}/${created.id}`)).json);
  expect(one).toMatchObject({ status: 'succeeded', summary: { n: 3, metric: 'bits_per_byte' } });

  const items = (await api.ask('GET', `${path}/${created.id}/items?limit=1&after=0&verdict=right`)).json;
  expect(items.data.map((item) => EvaluationItem.parse(item).index)).toEqual([2]);
  const events = (await api.ask('GET', `${path}/${created.id}/events`)).json.data;
  expect(events[0]).toMatchObject({ message: expect.stringMatching(/^The evaluation succeeded: bits_per_byte 0\./) });

  const other = (await api.ask('POST', path, { body: body() })).json.id;
  await evaluate([true, true, true]);
  const compared = await api.ask('GET', `${path}/${other}/compare?with=${created.id}&metric=exact_match&limit=5`);
  expect(EvaluationComparison.parse(compared.json)).toMatchObject({
    n: 3,
    verdicts: { both_right: 2, only_evaluation: 1, only_baseline: 0, p: expect.closeTo(1, 9) },
    items: [{ index: 1, value: 1, baseline: 0 }],
  });
  const quantity = await api.ask('GET', `${path}/${other}/compare?with=${created.id}`);
  expect(EvaluationComparison.parse(quantity.json)).toMatchObject({ difference: 0, verdicts: null, items: [] });

  const waiting = (await api.ask('POST', path, { body: body({ pool: 'none' }) })).json.id;
  const listed = await api.ask('GET', `${path}?model=${made.model}&status=queued`);
  expect(listed.json.data.map(({ id }) => id)).toEqual([waiting]);
  expect((await api.ask('POST', `${path}/${waiting}/cancel`)).json).toMatchObject({ status: 'cancelled' });
  expect((await api.ask('POST', `${path}/${waiting}/cancel`)).status).toBe(409);
});

it.each([
  [{ suite: 'fiel' }, 400, 'suite'],
  [{ lambda: 2 }, 400, 'lambda'],
  [{ file: 'file-none' }, 404, 'file'],
  [{ limt: 2 }, 400, 'limt'],
])('%j is refused by its key', async (more, status, param) => {
  const refused = await api.ask('POST', path, { body: body(more) });
  expect([refused.status, refused.json.error.param]).toEqual([status, param]);
});

it.each(['', '/items', '/events', '/compare?with=evaltask_b'])(
  'an evaluation that there is not is not found: %s',
  async (rest) => {
    const { status, json } = await api.ask('GET', `${path}/evaltask_a${rest}`);
    expect([status, json.error.param]).toEqual([404, 'evaluation_id']);
  },
);

it('the id of an evaluation is that of no run', async () => {
  const { id } = (await api.ask('POST', path, { body: body({ pool: 'none' }) })).json;
  for (const verb of ['cancel', 'pause', 'resume'])
    expect((await api.ask('POST', `/v1/fine_tuning/jobs/${id}/${verb}`)).status, verb).toBe(404);
  expect((await api.ask('GET', `${path}/${id}`)).json.status).toBe('queued');
});
