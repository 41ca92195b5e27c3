import { afterAll, beforeAll, expect, it } from 'vitest';
import { prepare, submit } from './fixtures.js';
import { startApi, type TestApi } from './support.js';

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

it('the page for Prometheus has requests, event loop, pool and the work that waits, each line well formed', async () => {
  await submit(api, await prepare(api));
  await api.ask('GET', '/v1/fine_tuning/jobs/ftjob-none');
  const { status, headers, text } = await api.ask('GET', '/metrics');
  expect([status, headers.get('content-type')]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8']);
  // The format has empty lines between metrics.
  for (const line of text.trim().split(/\n+/))
    expect(line).toMatch(/^(# (HELP|TYPE) \w+ .+|\w+(\{(\w+="[^"]*",?)+\})? [\d.e+-]+)$/);
  expect(text).toMatch(/moraine_tasks\{.*"queued".*\} 1\n/);
  expect(text).toContain(
    'moraine_http_request_duration_seconds_count{method="GET",route="/v1/fine_tuning/jobs/:id",status="404"} 1\n',
  );
  for (const name of [
    'event_loop_delay_seconds{of="max"}',
    'pg_pool_connections{state="open"}',
    'pg_pool_wait_seconds ',
  ])
    expect(text).toContain(`moraine_${name}`);
});

it('the page asks for a key', async () => {
  expect((await api.ask('GET', '/metrics', { key: null })).status).toBe(401);
  expect((await api.ask('GET', '/metrics', { key: 'mk-wrong' })).status).toBe(401);
});
