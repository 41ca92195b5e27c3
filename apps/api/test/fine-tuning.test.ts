import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { prepare, submit } from './fixtures.js';
import { startApi, type TestApi } from './support.js';

let api: TestApi;
let given: { model: string; file: string };
beforeAll(async () => {
  api = await startApi();
  given = await prepare(api);
});
afterAll(() => api.close());

const JOBS = '/v1/fine_tuning/jobs';
const body = () => ({ model: given.model, training_file: given.file, max_steps: 10 });

describe('creating a run', () => {
  it('is done once when a client tries again because it got no answer', async () => {
    const retry = (count: string) =>
      api.ask('POST', JOBS, { body: { ...body(), suffix: 'retried' }, headers: { 'x-stainless-retry-count': count } });
    const first = await retry('0');
    expect((await retry('1')).json.id).toBe(first.json.id);
    expect((await retry('0')).json.id).not.toBe(first.json.id);
  });

  it('is done once for one Idempotency-Key', async () => {
    const send = (key: string) => api.ask('POST', JOBS, { body: body(), headers: { 'idempotency-key': key } });
    const first = await send('once');
    expect((await send('once')).json.id).toBe(first.json.id);
    expect((await send('twice')).json.id).not.toBe(first.json.id);
  });

  it('only checks and resolves with dry_run', async () => {
    const before = (await api.ask('GET', JOBS)).json.data.length;
    const dry = await api.ask('POST', JOBS, { body: { ...body(), dry_run: true } });
    expect([dry.status, dry.json]).toMatchObject([200, { config: { steps: 10, adapter: { type: 'lora' } } }]);
    expect((await api.ask('GET', JOBS)).json.data.length).toBe(before);
  });

  it.each([
    ['a target that matches nothing', { adapter: { target_modules: ['q_prj'] } }, 'no_target_matched', /q_proj/],
    ['a rank beyond the base', { adapter: { rank: 1000 } }, 'invalid_value', /rank/],
    ['a model that is not there', { model: 'tinny' }, 'not_found', /tiny/],
    ['a file that is not there', { training_file: 'file-nothing' }, 'not_found', /file-nothing/],
  ])('refuses %s with a reason', async (_what, extra, code, message) => {
    const answer = await api.ask('POST', JOBS, { body: { ...body(), ...extra } });
    expect(answer.json.error).toMatchObject({ code, message: expect.stringMatching(message) });
    expect(answer.status).toBeLessThan(500);
  });
});

describe('a run', () => {
  it('is cancelled by a post with a JSON type and no body, as the Python client sends it', async () => {
    const run = await submit(api, given);
    const answer = await api.ask('POST', `${JOBS}/${run.id}/cancel`, {
      body: '',
      headers: { 'content-type': 'application/json' },
    });
    expect([answer.status, answer.json.status]).toEqual([200, 'cancelled']);
    const again = await api.ask('POST', `${JOBS}/${run.id}/cancel`);
    expect([again.status, again.headers.get('x-should-retry')]).toEqual([409, 'false']);
  });

  it('has no adapter before it has succeeded', async () => {
    const run = await submit(api, given);
    const answer = await api.ask('GET', `/v1/runs/${run.id}/adapter`);
    expect([answer.status, answer.json.error.code]).toEqual([409, 'not_ready']);
  });

  it('is listed by status and by metadata', async () => {
    const run = await submit(api, given, { metadata: { 'odd key': 'a&b' } });
    const bare = await submit(api, given, { metadata: null });
    const found = await api.ask('GET', `${JOBS}?metadata%5Bodd%20key%5D=a%26b`);
    expect(found.json.data.map((one) => one.id)).toEqual([run.id]);
    expect((await api.ask('GET', `${JOBS}?metadata[odd+key]=other`)).json.data).toEqual([]);
    for (const none of ['metadata=null', 'metadata=']) {
      const without = (await api.ask('GET', `${JOBS}?${none}&limit=100`)).json.data.map((one) => one.id);
      expect(without, none).not.toContain(run.id);
      expect(without, none).toContain(bare.id);
    }
    expect((await api.ask('GET', `${JOBS}?status=failed`)).json.data).toEqual([]);
    expect((await api.ask('GET', `${JOBS}?status=runing`)).json.error.message).toMatch(/Did you mean "running"\?/);
  });
});
