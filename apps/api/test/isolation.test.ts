import { ROUTES, type Route } from '@moraine/contract';
import { drawCanaries } from '@moraine/contract/analyses';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { prepare, submit, train } from './fixtures.js';
import { chatRows, fileForm, startApi, type TestApi } from './support.js';

let api: TestApi;
let stranger: string;
/** Ids of the default project, by the first part of the path that takes them. */
const owned: Record<string, string> = {};

beforeAll(async () => {
  api = await startApi();
  stranger = await api.foreignKey();
  const given = await prepare(api);
  const done = await submit(api, given);
  await train(api.services, done.id);
  owned['/v1/files'] = given.file;
  owned['/v1/models'] = (await api.ask('GET', `/v1/fine_tuning/jobs/${done.id}`)).json.fine_tuned_model;
  owned['/v1/adapters'] = owned['/v1/models'] ?? '';
  owned['/v1/runs'] = done.id;
  owned['/v1/fine_tuning/jobs'] = done.id;
  const upload = { filename: 'f', purpose: 'evals', bytes: 9, mime_type: 'text/jsonl' };
  owned['/v1/uploads'] = (await api.ask('POST', '/v1/uploads', { body: upload })).json.id;
  const suite = { model: 'tiny', suite: 'file', file: given.file };
  owned['/v1/evaluations'] = (await api.ask('POST', '/v1/evaluations', { body: suite })).json.id;
  const planted = {
    ...{ format: 'moraine-canaries', format_version: 1, kind: 'digits', seed: 1, repeat: 1 },
    row_format: 'chat',
  };
  const drawn = drawCanaries('digits', { count: 1, controls: 0, seed: 1 });
  const canaries = await api.ask('POST', '/v1/files', {
    body: fileForm(JSON.stringify({ ...planted, ...drawn }), { purpose: 'evals' }),
  });
  const analysis = { kind: 'canaries', model: 'tiny', file: canaries.json.id };
  owned['/v1/analyses'] = (await api.ask('POST', '/v1/analyses', { body: analysis })).json.id;
  const validation = await api.ask('POST', '/v1/files', { body: fileForm(chatRows(4)) });
  const experiment = {
    ...{ name: 'ours', model: 'tiny', training_file: given.file, evaluation: { validation: validation.json.id } },
    ...{ fixed: { max_steps: 2 }, arms: [{ adapter: 'lora', learning_rates: [1e-3] }] },
  };
  owned['/v1/experiments'] = (await api.ask('POST', '/v1/experiments', { body: experiment })).json.id;
  owned['/v1/webhooks'] = (await api.ask('POST', '/v1/webhooks', { body: { url: 'https://example.com/' } })).json.id;
});
afterAll(() => api.close());

const withId = Object.entries<Route>(ROUTES).filter(([, route]) => route.params);
const withoutId = Object.entries<Route>(ROUTES).filter(
  ([name, route]) => !route.params && route.method === 'GET' && name !== 'streamRuns',
);
const fill = (path: string) =>
  path.replace(/:\w+/, encodeURIComponent(owned[path.slice(0, path.indexOf('/:'))] ?? 'missing'));

/** What a route asks for beside the id. */
const QUERY: Record<string, string> = { previewFile: '?model=tiny', compareEvaluations: '?with=nothing' };
const BODY: Record<string, object> = {
  completeUpload: { part_ids: ['part_x'] },
  splitFile: {},
  updateWebhook: { enabled: true },
  growExperiment: { seeds: [9] },
  cloneExperiment: {},
};

describe('another project', () => {
  it.each(withId)('%s answers 404 to its key, as for an id that does not exist', async (name, { method, path }) => {
    const query = QUERY[name] ?? '';
    const foreign = await api.ask(method, fill(path) + query, { key: stranger, body: BODY[name] });
    const nothing = await api.ask(method, path.replace(/:\w+/, 'nothing') + query, {
      key: stranger,
      body: BODY[name],
    });
    expect([foreign.status, foreign.json.error.code]).toEqual([404, 'not_found']);
    expect(nothing.status).toBe(404);
  });

  it('cannot follow our run in a stream of several', async () => {
    const { status, json } = await api.ask('GET', `/v1/stream?runs=${owned['/v1/runs']}`, { key: stranger });
    expect([status, json.error.code]).toEqual([404, 'not_found']);
  });

  it.each(withoutId)('%s lists nothing of ours', async (name, { path }) => {
    const { json, text } = await api.ask('GET', path, { key: stranger });
    // Workers and their pools are shared by all projects; what they work on is not.
    if (name !== 'listWorkers' && name !== 'listPools') expect(json.data).toEqual([]);
    for (const id of Object.values(owned)) expect(text).not.toContain(id);
  });

  it('cannot train on our file or our base, nor page from our ids', async () => {
    const body = { model: 'tiny', training_file: owned['/v1/files'] };
    expect((await api.ask('POST', '/v1/fine_tuning/jobs', { key: stranger, body })).status).toBe(404);
    const page = await api.ask('GET', `/v1/fine_tuning/jobs?after=${owned['/v1/runs']}`, { key: stranger });
    expect(page.json.data ?? []).toEqual([]);
  });
});

describe('our own key', () => {
  it.each(withId.filter(([, { method }]) => method === 'GET'))('%s finds what is ours', async (name, { path }) => {
    // A stream does not end; a comparison needs two evaluations that have.
    if (name === 'streamRun' || name === 'streamEvaluation' || name === 'compareEvaluations') return;
    expect((await api.ask('GET', fill(path) + (QUERY[name] ?? ''))).status).toBe(200);
  });
});
