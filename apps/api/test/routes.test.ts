import { ROUTES, type Route } from '@moraine/contract';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { handlers } from '../src/routes/handlers.js';
import { startApi, type TestApi } from './support.js';

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

describe('the route table', () => {
  it('has a handler for each of its entries, and no handler without an entry', () => {
    expect(Object.keys(handlers).sort()).toEqual(Object.keys(ROUTES).sort());
  });

  it('is what the server serves, method by method', () => {
    for (const { method, path } of Object.values<Route>(ROUTES))
      expect(api.app.hasRoute({ method, url: path }), path).toBe(true);
  });
});

describe('who may ask', () => {
  const PUBLIC = ['/healthz', '/readyz', '/docs/', '/openapi.json', '/login', '/'];

  it.each(Object.entries<Route>(ROUTES))(
    '%s answers 401 without a key and with a wrong one',
    async (_name, { method, path }) => {
      const url = path.replace(/:\w+/, 'nothing');
      for (const [key, code] of [
        [null, 'missing_api_key'],
        ['mk-wrong', 'invalid_api_key'],
      ] as const) {
        const answer = await api.ask(method, url, { key });
        expect([answer.status, answer.json.error.code]).toEqual([401, code]);
      }
    },
  );

  it.each(PUBLIC)('%s is open to everybody', async (path) => {
    expect((await api.ask('GET', path, { key: null })).status).not.toBe(401);
  });
});
