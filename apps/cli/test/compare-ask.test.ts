import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import type { RowQuestion } from '@moraine/recipes';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type AskOptions, askAll } from '../src/compare/ask.js';

// What `moraine compare` sends, and what it makes of refusals: against a server that answers what a test wants. The real one is asked in local-serve.test.ts.

interface Received {
  path: string;
  key: string | undefined;
  body: Record<string, unknown>;
}
type Reply = { status: number; body: object; headers?: Record<string, string>; waitMs?: number };

let server: Server;
let address: string;
let received: Received[];
let reply: (request: Received) => Reply;

const chat = (content: string): Reply => ({ status: 200, body: { choices: [{ index: 0, message: { content } }] } });
const refusal = (status: number, message: string, headers = {}): Reply => ({
  status,
  headers,
  body: { error: { message, type: 'invalid_request_error', param: null, code: null } },
});

beforeAll(async () => {
  server = createServer(async (req, res) => {
    const body = (await json(req)) as Record<string, unknown>;
    const request = { path: req.url ?? '', key: req.headers.authorization, body };
    received.push(request);
    const { status, body: written, headers = {}, waitMs = 0 } = reply(request);
    setTimeout(() => {
      res.writeHead(status, { 'content-type': 'application/json', ...headers });
      res.end(JSON.stringify(written));
    }, waitMs);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
});
afterAll(() => server.close());
beforeEach(() => {
  received = [];
  reply = ({ body }) => chat(`to ${JSON.stringify(body.messages)}`);
});

const asks = (content: string, tools: Record<string, unknown>[] = []): RowQuestion => ({
  id: content,
  question: content,
  ask: { messages: [{ role: 'user', content }], tools },
  expected: '',
  isRight: async () => true,
});
const goesOn = (prompt: string, stops: string[] = []): RowQuestion => ({ ...asks(prompt), ask: { prompt, stops } });
const ask = (questions: RowQuestion[], more: Partial<AskOptions> = {}) =>
  askAll(questions, {
    baseUrl: address,
    apiKey: 'k',
    model: 'mine',
    lambda: undefined,
    tokensMax: 9,
    isRaw: false,
    together: 2,
    onAnswer: () => undefined,
    ...more,
  });

describe('askAll', () => {
  test('asks at temperature 0, with the key, the share and the tools that were given', async () => {
    const tool = { type: 'function', function: { name: 'f' } };
    const [answer] = await ask([asks('a', [tool])], { lambda: 0.5 });
    expect(answer).toEqual({ text: 'to [{"role":"user","content":"a"}]', problem: null });
    expect(received).toEqual([
      {
        path: '/v1/chat/completions',
        key: 'Bearer k',
        body: {
          model: 'mine',
          temperature: 0,
          max_tokens: 9,
          lambda: 0.5,
          messages: [{ role: 'user', content: 'a' }],
          tools: [tool],
        },
      },
    ]);
  });

  test('keeps answers with their questions, whichever comes first, and no more under way than asked for', async () => {
    let [now, most] = [0, 0];
    const counts: number[] = [];
    reply = ({ body }) => {
      now += 1;
      most = Math.max(most, now);
      const [message] = body.messages as { content: string }[];
      const content = message?.content ?? '';
      return { ...chat(content), waitMs: content === 'a' ? 40 : 5 };
    };
    const onAnswer = (done: number): void => {
      now -= 1;
      counts.push(done);
    };
    const answers = await ask(
      ['a', 'b', 'c', 'd'].map((text) => asks(text)),
      { onAnswer },
    );
    expect(answers.map(({ text }) => text)).toEqual(['a', 'b', 'c', 'd']);
    expect([most, counts]).toEqual([2, [1, 2, 3, 4]]);
  });

  test('goes on with a prompt as it is, up to its stops; with isRaw with that of a row too', async () => {
    reply = () => ({ status: 200, body: { choices: [{ text: 'more' }] } });
    expect(await ask([goesOn('p', ['\n'])])).toEqual([{ text: 'more', problem: null }]);
    await ask([asks('q')], { isRaw: true });
    expect(received.map(({ path, body }) => [path, body.prompt, body.stop])).toEqual([
      ['/v1/completions', 'p', ['\n']],
      ['/v1/completions', 'q', undefined],
    ]);
    const messages = [
      { role: 'system', content: 's' },
      { role: 'user', content: 'q' },
    ];
    await expect(ask([{ ...asks('q'), ask: { messages, tools: [] } }], { isRaw: true })).rejects.toThrow(
      '--raw is for',
    );
  });

  test('waits for a model that is being loaded as long as the server says', async () => {
    const waits = [refusal(503, 'loading', { 'retry-after-ms': '5' }), chat('there')];
    reply = () => waits.shift() ?? refusal(500, 'asked once too often');
    expect(await ask([asks('a')])).toEqual([{ text: 'there', problem: null }]);
  });

  test('a question that is refused is one without an answer; the others go on', async () => {
    reply = ({ body }) =>
      JSON.stringify(body).includes('long') ? refusal(400, 'The prompt has 99 tokens.') : chat('b');
    expect(await ask([asks('long'), asks('short')])).toEqual([
      { text: '', problem: 'Row long: The prompt has 99 tokens.' },
      { text: 'b', problem: null },
    ]);
  });

  test.each([
    [404, 'not_found', "There is no model 'mine'."],
    [401, 'invalid_api_key', 'No such key.'],
    [403, 'unavailable', 'Not yours.'],
  ])('a status of %i ends it, with the sentence of the server', async (status, code, message) => {
    reply = () => refusal(status, message);
    await expect(ask([asks('a')])).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
  });
});

test('without a limit a conversation is answered as far as the context goes, and a text as far as 256 tokens', async () => {
  reply = ({ path }) =>
    path.endsWith('chat/completions') ? chat('a') : { status: 200, body: { choices: [{ text: 'a' }] } };
  await ask([asks('a'), goesOn('b')], { tokensMax: undefined, together: 1 });
  expect(received.map(({ body }) => body.max_tokens)).toEqual([undefined, 256]);
});
