import { EvaluationComparison, EvaluationMessage, EvaluationTaskObject, isTerminal } from '@moraine/contract';
import { readEvents, type ServerEvent } from '@moraine/contract/client';
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

it('a stream has an evaluation at once, its items as they are scored, its end; and goes on behind the items that the reader has', async () => {
  const { id } = (await api.ask('POST', path, { body: body() })).json;
  const stop = new AbortController();
  const open = async (query: string, headers: Record<string, string> = {}) => {
    const at = `${api.url}${path}/${id}/stream${query}`;
    const response = await fetch(at, {
      headers: { authorization: `Bearer ${api.key}`, ...headers },
      signal: stop.signal,
    });
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/event-stream']);
    return readEvents(response.body as ReadableStream<Uint8Array<ArrayBuffer>>);
  };
  /** Up to its end: places and what is said of items and of the evaluation. */
  const told = async (events: AsyncGenerator<ServerEvent>) => {
    const all: [string | null, unknown][] = [];
    for await (const { id: place, event, data } of events) {
      const message = EvaluationMessage.parse({ event, data: JSON.parse(data) });
      const isItems = message.event === 'items';
      all.push([place, isItems ? message.data.map(({ index }) => index) : message.data.status]);
      if (!isItems && isTerminal(message.data.status)) return all;
    }
    return all;
  };
  const live = await open('?include=items');
  expect((await live.next()).value).toMatchObject({ id: '0', event: 'evaluation' });
  const watched = told(live);
  await evaluate([true, false, true]);
  const all = await watched;
  expect(all.filter(([, said]) => Array.isArray(said))).toEqual([['3', [0, 1, 2]]]);
  expect(all.at(-1)).toEqual(['3', 'succeeded']);
  // Whoever was told of two items is told of the third; an item's page is not asked for.
  expect(await told(await open('?include=items', { 'last-event-id': '2' }))).toEqual([
    ['3', [2]],
    ['3', 'succeeded'],
  ]);
  expect(await told(await open('?last_event_id=1'))).toEqual([['3', 'succeeded']]);
  stop.abort();
  const bad = await api.ask('GET', `${path}/${id}/stream`, { headers: { 'last-event-id': '1-0' } });
  expect([bad.status, bad.json.error.param]).toEqual([400, 'last_event_id']);
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

it.each(['', '/items', '/events', '/stream', '/compare?with=evaltask_b'])(
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
