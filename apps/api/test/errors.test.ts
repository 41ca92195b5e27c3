import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '@moraine/contract';
import Fastify, { type FastifyBaseLogger } from 'fastify';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { errors } from '../src/plugins/errors.js';
import { countWrongKeys } from '../src/plugins/wrong-keys.js';
import { startApi, type TestApi } from './support.js';

let api: TestApi;
beforeAll(async () => {
  api = await startApi({ rateLimit: 100 });
});
afterAll(() => api.close());

const error = (code: string, param: string | null, message: RegExp, type = 'invalid_request_error') => ({
  error: { code, param, type, message: expect.stringMatching(message) },
});

describe('errors', () => {
  it('refuse a body of more values than anybody sends, before anything is made of them', async () => {
    const many = Array.from({ length: 270_000 }, () => 1);
    const begun = performance.now();
    for (const [path, body] of [
      ['/v1/completions', { model: 'm', prompt: many }],
      ['/v1/chat/completions', { model: 'm', messages: [{ role: 'user', content: 'x' }], logit_bias: { ...many } }],
      ['/v1/fine_tuning/jobs', { model: 'm', training_file: 'f', adapter: { target_modules: many } }],
    ] as const)
      expect((await api.ask('POST', path, { body })).json).toEqual(
        error('invalid_request', null, /more than 262144 values/),
      );
    expect(performance.now() - begun).toBeLessThan(5_000);
  });

  it('refuse a name of a layer that is longer than one may be', async () => {
    const adapter = { target_modules: ['q'.repeat(50_000)] };
    const { status, json } = await api.ask('POST', '/v1/fine_tuning/jobs', {
      body: { model: 'm', training_file: 'f', adapter },
    });
    expect([status, json]).toEqual([400, error('invalid_value', 'adapter.target_modules[0]', /<=512 characters/)]);
  });

  it('name the nearest route, or the method that the path takes', async () => {
    const typo = await api.ask('GET', '/v1/fine_tunning/jobs');
    expect(typo.status).toBe(404);
    expect(typo.json).toEqual(error('route_not_found', null, /Did you mean \/v1\/fine_tuning\/jobs\?/));
    const method = await api.ask('DELETE', '/v1/models');
    expect(method.json).toEqual(error('route_not_found', null, /This path takes GET\./));
  });

  it('name an unknown key of a body and the nearest valid one', async () => {
    const body = { model: 'm', training_file: 'f', adapter: { rnak: 8 } };
    const answer = await api.ask('POST', '/v1/fine_tuning/jobs', { body });
    expect(answer.status).toBe(400);
    expect(answer.json).toEqual(error('unknown_key', 'adapter.rnak', /Did you mean 'adapter\.rank'\?/));
  });

  it('refuse a number that came as text in a body, and take it in a query', async () => {
    const body = { model: 'm', training_file: 'f', seed: '7' };
    expect((await api.ask('POST', '/v1/fine_tuning/jobs', { body })).json).toEqual(
      error('invalid_value', 'seed', /"7"/),
    );
    expect((await api.ask('GET', '/v1/fine_tuning/jobs?limit=7')).status).toBe(200);
  });

  it('say the value of a query that is out of range', async () => {
    const answer = await api.ask('GET', '/v1/fine_tuning/jobs?limit=0');
    expect(answer.status).toBe(400);
    expect(answer.json).toEqual(error('invalid_value', 'limit', /'limit' is "0"/));
  });

  it('say that a body is no JSON, is too large, or has a type that is not understood', async () => {
    const send = (body: string, type = 'application/json') =>
      api.ask('POST', '/v1/fine_tuning/jobs', { body, headers: { 'content-type': type } });
    const broken = await send('{"model":');
    expect([broken.status, broken.json.error.code]).toEqual([400, 'invalid_request']);
    expect(broken.json.error.message).toMatch(/not JSON/);
    expect((await send('<a/>', 'application/xml')).json).toEqual(error('invalid_request', null, /content type/));
    const large = await send(JSON.stringify({ model: 'x'.repeat(2 * 1024 ** 2) }));
    expect([large.status, large.json.error.code]).toEqual([413, 'file_too_large']);
  });

  it.each([
    ['__proto__', '{"model":"m","training_file":"f","__proto__":{"x":1}}'],
    ['metadata.__proto__', '{"model":"m","metadata":{"a":"b","__proto__":"v"}}'],
    ['integrations[1].__proto__', '{"integrations":[{},{"\\u005f_proto__":null}]}'],
    ['metadata.constructor.prototype', '\ufeff{"metadata":{"constructor":{"prototype":1}}}'],
    [
      `${'.a'.repeat(100_000)}.__proto__`.slice(-200),
      `${'{"a":'.repeat(100_000)}{"__proto__":1}${'}'.repeat(100_000)}`,
    ],
  ])('name the key %s of a body that would change prototypes', async (key, body) => {
    const headers = { 'content-type': 'application/json' };
    const answer = await api.ask('POST', '/v1/fine_tuning/jobs', { body, headers });
    expect(answer.status).toBe(400);
    expect(answer.json).toEqual(error('invalid_request', key, /The body has the key '.*', which is not allowed/));
  });

  it('say that a body is no UTF-8, or is nested without end', async () => {
    const send = (body: Uint8Array<ArrayBuffer>) =>
      fetch(`${api.url}/v1/fine_tuning/jobs`, {
        method: 'POST',
        body,
        headers: { authorization: `Bearer ${api.key}`, 'content-type': 'application/json' },
      });
    // The bytes of half a surrogate pair, as a program writes them that encodes each half by itself.
    const half = await send(Uint8Array.from([...Buffer.from('{"model":"'), 0xed, 0xa0, 0xbd, ...Buffer.from('"}')]));
    expect([half.status, await half.json()]).toEqual([400, error('invalid_request', null, /The body is not UTF-8/)]);
    const deep = await send(Buffer.from(`{"metadata":${'{"a":'.repeat(90_000)}1${'}'.repeat(90_001)}`));
    expect([deep.status, await deep.json()]).toEqual([400, error('invalid_request', null, /64 levels/)]);
  });

  describe.each([
    ['half of a surrogate pair', '\\ud83d', /half of a surrogate pair.*by characters/],
    ['the other half', '\\ude00', /half of a surrogate pair/],
    ['U+0000', '\\u0000', /U\+0000.*Leave it out/],
  ])('say that no text of a body may hold %s', (_what, letter, message) => {
    const send = (body: string) =>
      api.ask('POST', '/v1/fine_tuning/jobs', { body, headers: { 'content-type': 'application/json' } });
    it.each([
      ['a value', `{"suffix":"a${letter}"}`, 'suffix'],
      ['a nested value', `{"metadata":{"team":"${letter}b"}}`, 'metadata.team'],
      ['an item of a list', `{"evaluation":{"files":["x","${letter}"]}}`, 'evaluation.files[1]'],
      ['a key of metadata', `{"metadata":{"${letter}":"b"}}`, 'metadata'],
      ['an unknown key', `{"${letter}":1}`, null],
      ['the body itself', `"${letter}"`, 'body'],
    ])('in %s', async (_where, body, param) => {
      const answer = await send(body);
      expect([answer.status, answer.json]).toEqual([400, error('invalid_value', param, message)]);
    });
  });

  it('take whole pairs, and letters that only look like an escape', async () => {
    const send = async (text: string) => {
      const answer = await api.ask('POST', '/v1/fine_tuning/jobs', {
        body: `{"model":"m","training_file":"f","metadata":{"a":"${text}"}}`,
        headers: { 'content-type': 'application/json' },
      });
      return answer.json.error.code;
    };
    for (const text of ['\\ud83d\\ude00', '😀', '\\\\u0000', '\\\\ud83d'])
      expect(await send(text), text).toBe('not_found');
  });

  it.each([
    ['/v1/files/file-%00', 'id'],
    ['/v1/models/a%00b', 'model'],
    ['/v1/files?after=%00', 'after'],
    ['/v1/fine_tuning/jobs?metadata%5Bteam%5D=a%00', 'metadata.team'],
    ['/v1/files?after=%ED%A0%BD', 'after'],
    ['/v1/fine_tuning/jobs?metadata[team]=%ED%A0%BD', 'metadata[team]'],
    ['/v1/files?after=%', 'after'],
  ])('say what is wrong in the address %s', async (path, param) => {
    const answer = await api.ask('GET', path);
    expect([answer.status, answer.json.error.param]).toEqual([400, param]);
  });

  it.each(['/v1/fine_tuning/jobs', '/v1/runs'])('refuse keys of %s that would filter nothing', async (path) => {
    for (const [query, param] of [
      ['metadata[__proto__]=v', 'metadata[__proto__]'],
      ['metadata%5B%5f_proto__%5D=v', 'metadata[__proto__]'],
      ['metadata[team]=x&metadata[__proto__]=v', 'metadata[__proto__]'],
      ['__proto__[team]=v', '__proto__[team]'],
      ['__proto__=v', '__proto__'],
      ['metadata[team][lead]=v', 'metadata'],
      ['metadata[team][]=v', 'metadata'],
    ]) {
      const answer = await api.ask('GET', `${path}?${query}`);
      expect([query, answer.status, answer.json.error?.param]).toEqual([query, 400, param]);
    }
    for (const key of ['constructor', 'toString', 'a]b', 'a[b]'])
      expect((await api.ask('GET', `${path}?metadata[${encodeURIComponent(key)}]=v`)).status, key).toBe(200);
  });

  it.each([
    ['/v1/files?purpse=evals', 'purpse', /Did you mean 'purpose'\?/],
    ['/v1/fine_tuning/jobs?metdata[team]=x', 'metdata', /Did you mean 'metadata'\?/],
    ['/v1/models?limit=3', 'limit', /takes none/],
    ['/v1/runs/ftjob-1/stream?last_event=1-0', 'last_event', /Did you mean 'last_event_id'\?/],
  ])('name an unknown key of a query and the nearest valid one: %s', async (path, param, hint) => {
    const answer = await api.ask('GET', path);
    expect([answer.status, answer.json]).toEqual([400, error('unknown_key', param, hint)]);
  });

  it('refuse a key of a query that comes twice', async () => {
    for (const path of ['/v1/files?after=a&after=b', '/v1/fine_tuning/jobs?metadata[a]=1&metadata[a]=2'])
      expect((await api.ask('GET', path)).status, path).toBe(400);
  });

  it('carry x-request-id, the caller’s own where it is harmless', async () => {
    expect((await api.ask('GET', '/v1/nothing')).headers.get('x-request-id')).toMatch(/^req_[0-9a-f]{24}$/);
    const mine = await api.ask('GET', '/v1/models', { headers: { 'x-request-id': 'trace-7' } });
    expect(mine.headers.get('x-request-id')).toBe('trace-7');
    const odd = await api.ask('GET', '/v1/models', { headers: { 'x-request-id': 'a b"c' } });
    expect(odd.headers.get('x-request-id')).toMatch(/^req_/);
  });

  it('take an id of 113 characters, as fine-tuned models have', async () => {
    const id = `ft:${'b'.repeat(60)}:default:${'s'.repeat(36)}:abcdefgh`;
    expect(id.length).toBeGreaterThan(112);
    expect((await api.ask('GET', `/v1/models/${id}`)).json.error.code).toBe('not_found');
  });

  it('have their shape for addresses that no route can take', async () => {
    const long = await api.ask('GET', `/v1/models/${'m'.repeat(600)}`);
    expect([long.status, long.json]).toEqual([404, error('not_found', null, /too long to exist/)]);
    const broken = await api.ask('GET', '/v1/models/%E0%A4%A');
    expect([broken.status, broken.json]).toEqual([
      400,
      error('invalid_request', null, /^Malformed percent-encoding in the URL\.$/),
    ]);
    expect(broken.headers.get('x-request-id')).toMatch(/^req_/);
  });

  it('come as 429 with retry-after when one key asks too often, and only to that key', async () => {
    const answers = await Promise.all(Array.from({ length: 110 }, () => api.ask('GET', '/v1/models')));
    const refused = answers.find((answer) => answer.status === 429);
    expect(refused?.json).toEqual(error('rate_limited', null, /More than 100 requests/, 'rate_limit_error'));
    expect(Number(refused?.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await api.ask('GET', '/v1/models', { key: await api.foreignKey() })).status).toBe(200);
  });
});

test.each([
  ['rate_limited', 429, '5'],
  ['unavailable', 503, '1'],
] as const)('%s says when to come again', async (code, status, seconds) => {
  const app = Fastify();
  await app.register(errors);
  app.get('/', () => Promise.reject(new AppError(code, 'Not now.')));
  const { statusCode, headers } = await app.inject('/');
  expect([statusCode, headers['retry-after'], headers['x-should-retry']]).toEqual([status, seconds, 'true']);
  await app.close();
});

describe('an error that nobody foresaw', () => {
  it('is reported in general words with an id, while its text goes to the log only', async () => {
    const lines: string[] = [];
    const app = Fastify({
      loggerInstance: pino({}, { write: (line: string) => lines.push(line) }) as FastifyBaseLogger,
    });
    await app.register(errors);
    app.get('/', async () => {
      throw new Error('password is hunter2');
    });
    const answer = await app.inject('/');
    expect([answer.statusCode, answer.json().error]).toMatchObject([
      500,
      { type: 'server_error', code: 'internal', param: null },
    ]);
    expect(answer.body).not.toContain('hunter2');
    expect(lines.join()).toContain('hunter2');
    await app.close();
  });
});

describe('wrong keys', () => {
  const ask = (key: string): Promise<number> => api.ask('GET', '/v1/models', { key }).then((answer) => answer.status);

  it('are limited by address, while right ones from there pass', async () => {
    const key = await api.foreignKey();
    const statuses = await Promise.all(Array.from({ length: 80 }, (_, i) => ask(`wrong-${i}`)));
    expect(statuses.filter((status) => status === 401)).toHaveLength(60);
    expect(statuses.filter((status) => status === 429)).toHaveLength(20);
    const refused = await api.ask('GET', '/v1/models', { key: 'wrong' });
    expect(refused.json.error).toMatchObject({ code: 'rate_limited', message: expect.stringContaining('127.0.0.1') });
    expect(refused.headers.get('retry-after')).toBe('5');
    expect(await ask(key)).toBe(200);
  });

  it('are forgotten after their minute', async () => {
    const counter = countWrongKeys({ max: 1, windowMs: 30 });
    counter.count('10.0.0.1');
    expect(() => counter.count('10.0.0.1')).toThrow(/wrong keys came from 10\.0\.0\.1/);
    counter.count('10.0.0.2');
    await sleep(40);
    counter.count('10.0.0.1');
  });
});
