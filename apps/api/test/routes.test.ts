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
    async (name, { method, path }) => {
      const url = path.replace(/:\w+/, 'nothing');
      // There are more routes than wrong keys that one address may send in a minute.
      const remoteAddress = `10.0.0.${Object.keys(ROUTES).indexOf(name)}`;
      for (const [key, code] of [
        [null, 'missing_api_key'],
        ['mk-wrong', 'invalid_api_key'],
      ] as const) {
        const headers = key === null ? {} : { authorization: `Bearer ${key}` };
        const answer = await api.app.inject({ method, url, headers, remoteAddress });
        expect([answer.statusCode, answer.json().error.code]).toEqual([401, code]);
      }
    },
  );

  it.each(PUBLIC)('%s is open to everybody', async (path) => {
    expect((await api.ask('GET', path, { key: null })).status).not.toBe(401);
  });
});
