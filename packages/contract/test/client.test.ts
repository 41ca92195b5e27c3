import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createClient } from '../src/client/index.js';

interface Seen {
  method: string | undefined;
  url: string | undefined;
  headers: IncomingMessage['headers'];
  body: string;
}

let server: Server;
let origin: string;
let seen: Seen;
let reply: (response: ServerResponse) => void;

beforeAll(async () => {
  server = createServer((request, response) => {
    let body = '';
    request.on('data', (piece) => {
      body += String(piece);
    });
    request.on('end', () => {
      seen = { method: request.method, url: request.url, headers: request.headers, body };
      reply(response);
    });
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => new Promise((ended) => server.close(ended)));

const answer = (status: number, body: unknown) => {
  reply = (response) =>
    response
      .writeHead(status, { 'content-type': 'application/json' })
      .end(typeof body === 'string' ? body : JSON.stringify(body));
};
const model = {
  id: 'tiny',
  object: 'model',
  created: 1,
  owned_by: 'p',
  kind: 'base',
  parent: null,
  run_id: null,
  parameters: 1,
  context: 64,
  status: 'ready',
  source: null,
  commit: null,
  download: null,
  error: null,
};

describe('a call', () => {
  test('sends key, path parameters and query, and answers the parsed body', async () => {
    answer(200, { ...model, unknown_to_us: 1 });
    const client = createClient({ origin, apiKey: 'mk-1' });
    expect(await client.call('getModel', { params: { model: 'ft:a/b:c' } })).toEqual(model);
    expect(seen).toMatchObject({ method: 'GET', url: '/v1/models/ft%3Aa%2Fb%3Ac', body: '' });
    expect(seen.headers.authorization).toBe('Bearer mk-1');
    expect(seen.headers['content-type']).toBeUndefined();
    expect(client.url('listRuns', { query: { limit: 5, after: undefined } })).toBe(
      `${origin}/v1/fine_tuning/jobs?limit=5`,
    );
    expect(client.url('listRuns', { query: { metadata: { team: 'a b', 'odd key': '1' } } })).toBe(
      `${origin}/v1/fine_tuning/jobs?metadata%5Bteam%5D=a+b&metadata%5Bodd+key%5D=1`,
    );
  });

  test('sends a JSON body, and a form as a form', async () => {
    answer(400, { error: { message: 'no', type: 'invalid_request_error', param: null, code: 'invalid_request' } });
    const client = createClient({ origin });
    await expect(client.call('createRun', { body: { model: 'm', training_file: 'f' } })).rejects.toThrow('no');
    expect(seen.headers['content-type']).toBe('application/json');
    expect(JSON.parse(seen.body)).toEqual({ model: 'm', training_file: 'f' });
    const form = new FormData();
    form.set('purpose', 'fine-tune');
    await expect(client.call('createFile', { body: form })).rejects.toThrow('no');
    expect(seen.headers['content-type']).toMatch(/^multipart\/form-data; boundary=/);
  });

  test('hands out the bytes of a route that answers bytes', async () => {
    reply = (response) => response.end('a,b\n');
    const response = await createClient({ origin }).call('getFileContent', { params: { id: 'file-1' } });
    expect(await response.text()).toBe('a,b\n');
    expect(seen.headers.accept).toBe('application/octet-stream');
  });
});

describe('a failure', () => {
  test('is the error of the server with its code and key', async () => {
    answer(404, {
      error: { message: "No model 'x'.", type: 'invalid_request_error', param: 'model', code: 'not_found' },
    });
    await expect(createClient({ origin }).call('getModel', { params: { model: 'x' } })).rejects.toMatchObject({
      name: 'AppError',
      code: 'not_found',
      param: 'model',
      message: "No model 'x'.",
    });
  });

  test('that is no JSON shows the status and the begin of the text', async () => {
    answer(502, '<html>Bad Gateway</html>');
    await expect(createClient({ origin }).call('listModels')).rejects.toMatchObject({
      code: 'internal',
      message: expect.stringContaining('502: <html>Bad'),
    });
  });

  test('to connect says what to start', async () => {
    await expect(createClient({ origin: 'http://127.0.0.1:1' }).call('listModels')).rejects.toMatchObject({
      code: 'unavailable',
      hint: expect.stringContaining('npm start'),
    });
  });

  test('of an answer that breaks the contract is not hidden', async () => {
    answer(200, { ...model, parameters: 'many' });
    await expect(createClient({ origin }).call('getModel', { params: { model: 'x' } })).rejects.toThrow();
  });
});

test('an aborted call rejects with the abort, not with a lost server', async () => {
  reply = () => undefined;
  const stop = new AbortController();
  const call = createClient({ origin }).call('listModels', { signal: stop.signal });
  setTimeout(() => stop.abort(), 50);
  await expect(call).rejects.toMatchObject({ name: 'AbortError' });
  server.closeAllConnections();
});
