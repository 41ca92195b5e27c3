import { ChatRequest, TextRequest } from '@moraine/contract/serving';
import { type APIError, OpenAI } from 'openai';
import { OpenAI as LatestOpenAI } from 'openai-latest';
import { describe, expect, test } from 'vitest';

export interface BatteryContext {
  url: string;
  key: string;
  /** Answers that were begun, in order. */
  begun: readonly { completion: Promise<{ finishReason: string; ids: number[] }> }[];
}

/** Values of a parameter that are honoured or change nothing, and those that are refused under its name. */
type Values = [taken: unknown[], refused: unknown[]];

const NOT_OURS = (values: unknown[] = []): Values => [
  [null, ...values],
  ['other', { a: 1 }],
];
const TOOL = { type: 'function', function: { name: 'look' } };

const SHARED: Record<string, Values> = {
  model: [
    ['base', 'red'],
    ['', 7],
  ],
  stream: [[null, false], ['yes']],
  stream_options: [
    [null, { include_usage: true }, {}],
    [{ include_obfuscation: true }, { other: 1 }, {}],
  ],
  temperature: [
    [null, 0, 2],
    [-0.1, 2.1, '1'],
  ],
  top_p: [
    [null, 0, 0.1, 1],
    [-0.1, 1.1],
  ],
  top_k: [
    [null, 0, 3],
    [-1, 0.5],
  ],
  min_p: [
    [null, 0, 1],
    [-0.1, 1.1],
  ],
  seed: [
    [null, 0, -1, 2 ** 62],
    [0.5, 1e300, '1'],
  ],
  stop: [
    [null, 'x', [], Array(16).fill('x')],
    ['', [''], Array(17).fill('x'), 7],
  ],
  n: [
    [null, 1, 3],
    [0, 129, 1.5],
  ],
  presence_penalty: [[null, -2, 2], [2.1]],
  frequency_penalty: [[null, -2, 2], [-2.1]],
  logit_bias: [
    [null, {}, { 5: -100, 6: 100 }],
    [{ x: 1 }, { 5: 101 }, { 1024: 1 }],
  ],
  lambda: [
    [null, 0, 1],
    [-0.1, 1.1],
  ],
  user: [[null, 'me'], [7]],
  metadata: [
    [null, {}, { a: 'b' }],
    [{ a: 1 }, 'a'],
  ],
};

const CHAT: Record<string, Values> = {
  ...SHARED,
  messages: [
    [
      [
        { role: 'developer', content: 'a' },
        { role: 'user', content: 'b' },
      ],
    ],
    [[], 'a', [{ role: 'user' }]],
  ],
  max_tokens: [[1], [0, 1.5, -1]],
  max_completion_tokens: [
    [1, null],
    [0, 'x'],
  ],
  logprobs: [[null, true, false], [2]],
  top_logprobs: [
    [null, 0],
    [21, -1],
  ],
  tools: [
    [null, [], [TOOL]],
    [[{ type: 'other' }], 'look'],
  ],
  tool_choice: [
    [null, 'none', 'auto'],
    ['any', 'required', { type: 'allowed_tools' }],
  ],
  parallel_tool_calls: [[null, true, false], ['no']],
  response_format: [
    [null, { type: 'text' }, { type: 'json_object' }],
    [{ type: 'json_schema', json_schema: {} }, 'json'],
  ],
  functions: NOT_OURS([[]]),
  function_call: NOT_OURS(['none', 'auto']),
  modalities: NOT_OURS([['text']]),
  audio: NOT_OURS(),
  prediction: NOT_OURS(),
  web_search_options: NOT_OURS(),
  reasoning_effort: NOT_OURS(['none', 'medium']),
  moderation: NOT_OURS(),
  prompt_cache_retention: NOT_OURS(['in_memory']),
  prompt_cache_options: NOT_OURS(),
  verbosity: NOT_OURS(['medium']),
  store: NOT_OURS([false]),
  service_tier: NOT_OURS(['auto', 'default']),
  prompt_cache_key: [[null, 'k'], [7]],
  safety_identifier: [[null, 'k'], [7]],
};

const TEXT: Record<string, Values> = {
  ...SHARED,
  prompt: [
    ['a', ['a', 'b'], [5, 6], [[5], [6, 7]]],
    [[], '', [[]], [1024], [-1], 7],
  ],
  max_tokens: [
    [null, 0, 1],
    [-1, 1.5],
  ],
  logprobs: [
    [null, 0, 20],
    [21, true],
  ],
  echo: [[null, true, false], ['yes']],
  best_of: [
    [null, 1],
    [2, 0],
  ],
  suffix: NOT_OURS(['']),
};

const ENDPOINTS = {
  'chat/completions': {
    values: CHAT,
    base: { model: 'base', messages: [{ role: 'user', content: 'Hi' }], max_tokens: 1 },
  },
  completions: { values: TEXT, base: { model: 'base', prompt: 'Hi', max_tokens: 1 } },
};

/** The newest client has the shape of the pinned one in everything used here. */
const CLIENTS = { '6.49.0': OpenAI, '7.57.0': LatestOpenAI as unknown as typeof OpenAI };

/** Every parameter, every error and streams, as stock clients meet them. */
export function batterySuite(of: () => BatteryContext): void {
  test('every parameter of both endpoints is in the battery', () => {
    expect(Object.keys(CHAT).sort()).toEqual(Object.keys(ChatRequest.shape).sort());
    expect(Object.keys(TEXT).sort()).toEqual(Object.keys(TextRequest.shape).sort());
  });

  describe.each(Object.entries(CLIENTS))('the stock client %s', (_version, Client) => {
    /** A client with what stock ones do by themselves, and how many requests it has sent. */
    const connect = (apiKey = of().key) => {
      let sent = 0;
      const client = new Client({
        ...{ baseURL: `${of().url}`, apiKey },
        fetch: (...args: Parameters<typeof fetch>) => {
          sent += 1;
          return fetch(...args);
        },
      });
      return { client, sent: () => sent };
    };
    const failure = async (asked: Promise<unknown>): Promise<APIError> => {
      try {
        await asked;
      } catch (error) {
        return error as APIError;
      }
      throw new Error('the request was not refused');
    };

    test.each(Object.entries(ENDPOINTS))(
      '%s takes each parameter at values that are kept',
      async (path, { values, base }) => {
        const { client } = connect();
        const all = Object.entries(values).flatMap(([name, [taken]]) => taken.map((value) => ({ [name]: value })));
        const answers = all.map(async (more) => {
          const extra = 'stream_options' in more && more.stream_options !== null ? { stream: true } : {};
          const answer = await client.post(`/${path}`, { body: { ...base, ...more, ...extra } }).asResponse();
          await answer.text();
          return [JSON.stringify(more), answer.status];
        });
        expect(await Promise.all(answers)).toEqual(all.map((more) => [JSON.stringify(more), 200]));
      },
    );

    test.each(Object.entries(ENDPOINTS))(
      '%s refuses each by name at others, and is asked once',
      async (path, { values, base }) => {
        const { client, sent } = connect();
        const all = Object.entries(values).flatMap(([name, [, refused]]) =>
          refused.map((value) => [name, value] as const),
        );
        for (const [name, value] of all) {
          const error = await failure(client.post(`/${path}`, { body: { ...base, [name]: value } }));
          const about = `${name} ${JSON.stringify(value)}: ${error.message}`;
          expect([about, error.status]).toEqual([about, 400]);
          expect([about, error.param?.split(/[.[]/)[0]]).toEqual([about, name]);
          expect(error).toBeInstanceOf(Client.BadRequestError);
        }
        expect(sent()).toBe(all.length);
      },
    );

    test('errors have the classes, codes and identities of the client', async () => {
      const { client, sent } = connect();
      const chat = (body: object) =>
        failure(client.chat.completions.create({ messages: [{ role: 'user', content: 'a' }], ...body } as never));
      const model = await chat({ model: 'bse' });
      expect(model).toBeInstanceOf(Client.NotFoundError);
      expect(model).toMatchObject({ status: 404, code: 'not_found', param: 'model', message: /Did you mean 'base'/ });
      expect(model.requestID).toMatch(/^[0-9a-f-]{36}$/);
      expect(await chat({ model: 'base', tempature: 1 })).toMatchObject({ code: 'unknown_key', param: 'tempature' });
      const route = await failure(client.embeddings.create({ model: 'base', input: 'a' }));
      expect(route).toMatchObject({ status: 404, code: 'route_not_found' });
      const key = await failure(connect('other').client.models.list());
      expect(key).toBeInstanceOf(Client.AuthenticationError);
      const broken = { body: '{"model": ', headers: { 'content-type': 'application/json' } };
      expect(await failure(client.post('/completions', broken))).toMatchObject({ status: 400, message: /no JSON/ });
      const large = { model: 'base', prompt: 'a'.repeat(17 * 2 ** 20) };
      expect(await failure(client.post('/completions', { body: large }))).toMatchObject({ status: 413 });
      expect(sent()).toBe(5);
    });

    test('a stream that is left half way frees the rows of all its answers', async () => {
      const { client } = connect();
      const from = of().begun.length;
      const stream = await client.completions.create({
        ...{ model: 'base', prompt: 'Hello', max_tokens: 100, n: 2, stream: true, temperature: 0 },
        logit_bias: { 0: -100 },
      });
      let seen = 0;
      for await (const _chunk of stream) {
        seen += 1;
        if (seen === 3) break;
      }
      const mine = of().begun.slice(from);
      expect(mine).toHaveLength(2);
      for (const { completion } of mine) {
        const { finishReason, ids } = await completion;
        expect(finishReason).toBe('cancelled');
        expect(ids.length).toBeLessThan(100);
      }
    });

    test('streams say what whole answers say, with usage last where it is asked for', async () => {
      const { client } = connect();
      const body = { model: 'green', prompt: ['Hello', 'Who?'], max_tokens: 8, n: 2, seed: 4, logprobs: 1, echo: true };
      const whole = await client.completions.create(body);
      const stream = await client.completions.create({
        ...body,
        stream: true,
        stream_options: { include_usage: true },
      });
      const texts = ['', '', '', ''];
      const tokens: string[][] = [[], [], [], []];
      const ends: unknown[] = [];
      const usages: unknown[] = [];
      for await (const { choices, usage } of stream) {
        usages.push(usage);
        for (const { index, text, logprobs, finish_reason } of choices) {
          texts[index] += text;
          tokens[index]?.push(...(logprobs?.tokens ?? []));
          if (finish_reason !== null) ends[index] = finish_reason;
        }
      }
      expect(texts).toEqual(whole.choices.map(({ text }) => text));
      expect(tokens).toEqual(whole.choices.map(({ logprobs }) => logprobs?.tokens));
      expect(ends).toEqual(whole.choices.map(({ finish_reason }) => finish_reason));
      expect(usages.at(-1)).toMatchObject({
        ...whole.usage,
        prompt_tokens_details: { cached_tokens: expect.any(Number) },
      });
      expect(new Set(usages.slice(0, -1))).toEqual(new Set([null]));
      expect(new Set(texts).size).toBe(4);
    });

    test('stop and seed are kept: the same seed the same answer, another one another', async () => {
      const { client } = connect();
      const say = async (more: object) => {
        const asked = {
          model: 'base',
          messages: [{ role: 'user' as const, content: 'Hello' }],
          max_tokens: 12,
          ...more,
        };
        return (await client.chat.completions.create({ ...asked, stream: false })).choices[0];
      };
      const [one, again, other] = [await say({ seed: 1 }), await say({ seed: 1 }), await say({ seed: 2 ** 40 + 1 })];
      expect(again?.message.content).toBe(one?.message.content);
      expect(other?.message.content).not.toBe(one?.message.content);
      const text = one?.message.content ?? '';
      const stop = text.slice(2, 5);
      const cut = await say({ seed: 1, stop: [stop] });
      expect(cut).toMatchObject({ finish_reason: 'stop', message: { content: text.slice(0, text.indexOf(stop)) } });
    });
  });
}
