import { once } from 'node:events';
import { loadTokenizer } from '@moraine/data';
import { answerPrompts, openServed, type Served } from '@moraine/recipes';
import { OpenAI } from 'openai';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { withHeartbeats } from '../src/heartbeat.js';
import { createInference } from '../src/index.js';
import { readingOf } from '../src/tools.js';
import { batterySuite } from './battery.suite.js';
import { writeCallingBase } from './calling-base.js';
import { BASE, writeLora } from './random-adapter.js';
import { toolsSuite } from './tools.suite.js';
import { storiesSuite, transformersSuite } from './transformers.suite.js';

// The shipped base, taught to write calls, with two LoRAs of one group and one of another, on two rows.
const dirs = { red: writeLora(1), green: writeLora(2), blue: writeLora(3, { rank: 2 }) };
const baseDir = writeCallingBase();
const PROMPTS = ['Nevsa gave 3 belts to Gankor.\nRecord?', 'Who has the belts?', 'Write a letter.'];
const TOKENS = 12;

let served: Served;
let app: ReturnType<typeof createInference>;
let url: string;
let client: OpenAI;
/** Every answer that was begun, and the prompt of the last. */
const begun: ReturnType<Served['begin']>[] = [];
let lastPrompt: readonly number[] = [];

beforeAll(async () => {
  const adapters = Object.entries(dirs).map(([name, dir]) => ({ name, dir }));
  served = await openServed({ baseDir, baseName: 'base', adapters, rows: 2, contextMax: 128 });
  const watched: Served = {
    ...served,
    begin: (...args) => {
      const answer = served.begin(...args);
      begun.push(answer);
      lastPrompt = args[2];
      return answer;
    },
  };
  app = createInference({ served: watched, key: 'secret', log: pino({ level: 'silent' }) });
  url = `${await app.listen({ host: '127.0.0.1', port: 0 })}/v1`;
  client = new OpenAI({ baseURL: url, apiKey: 'secret', maxRetries: 0 });
});
afterAll(async () => {
  await app.close();
  served.dispose();
});

const ask = (model: string, content: string, more: object = {}) =>
  client.chat.completions.create({
    ...{ model, messages: [{ role: 'user' as const, content }], max_tokens: TOKENS, temperature: 0 },
    ...more,
    stream: false,
  });
/** Keeps an answer from ending by itself. */
const onAndOn = () => ({ logit_bias: Object.fromEntries(served.tokenizer.eosIds.map((id) => [id, -100])) });
const textOf = async (model: string, content: string, more: object = {}) =>
  (await ask(model, content, more)).choices[0]?.message.content;

const known = new Map<string, Promise<string[]>>();

/** What the model writes by itself, without anything beside it. */
function alone(adapter: keyof typeof dirs | null, lambda = 1): Promise<string[]> {
  const key = `${adapter} ${lambda}`;
  const before = known.get(key) ?? writeAlone(adapter, lambda);
  known.set(key, before);
  return before;
}

async function writeAlone(adapter: keyof typeof dirs | null, lambda: number): Promise<string[]> {
  const { answers } = await answerPrompts({
    ...{ baseDir, adapterDir: adapter === null ? null : dirs[adapter], lambda, prompts: PROMPTS, mode: 'plain' },
    ...{ maxNewTokens: TOKENS, temperature: 0, topP: 1, topK: 0, seed: 0, stop: [], isRaw: false },
  });
  return answers.map(({ text }) => text);
}

describe('chat', () => {
  test('base and adapters answer at once, each as it does alone', async () => {
    const models = ['base', ...Object.keys(dirs)];
    const together = await Promise.all(models.map((model) => Promise.all(PROMPTS.map((text) => textOf(model, text)))));
    const expected = [await alone(null), await alone('red'), await alone('green'), await alone('blue')];
    expect(together).toEqual(expected);
    expect(new Set(expected.map(String)).size).toBe(4);
  });

  test('a share of an adapter answers as it does alone, 0 as the base', async () => {
    expect(await textOf('red', PROMPTS[0] ?? '', { lambda: 0 })).toBe((await alone(null))[0]);
    expect(await textOf('red', PROMPTS[0] ?? '', { lambda: 0.5 })).toBe((await alone('red', 0.5))[0]);
  });

  test('any number of shares answers at once, and none for another', async () => {
    const shares = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1];
    const answers = await Promise.all(shares.map((lambda) => textOf('red', PROMPTS[0] ?? '', { lambda })));
    expect(answers[4]).toBe((await alone('red', 0.5))[0]);
    expect(answers[9]).toBe((await alone('red'))[0]);
    expect(await textOf('green', PROMPTS[0] ?? '')).toBe((await alone('green'))[0]);
  });

  test('an answer is streamed as it is written, with usage last', async () => {
    const whole = await ask('red', PROMPTS[0] ?? '', onAndOn());
    const stream = await client.chat.completions.create({
      ...{ model: 'red', messages: [{ role: 'user', content: PROMPTS[0] ?? '' }], max_tokens: TOKENS, temperature: 0 },
      ...{ stream: true, stream_options: { include_usage: true }, ...onAndOn() },
    });
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    const text = chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('');
    expect(text).toBe(whole.choices[0]?.message.content);
    expect(chunks.length).toBeGreaterThan(4);
    expect(chunks.at(-2)?.choices[0]?.finish_reason).toBe(whole.choices[0]?.finish_reason);
    // The second time the prompt is not read again but for its last token.
    const cached_tokens = (whole.usage?.prompt_tokens ?? 0) - 1;
    expect(chunks.at(-1)?.usage).toEqual({ ...whole.usage, prompt_tokens_details: { cached_tokens } });
    expect(whole.usage?.completion_tokens).toBe(TOKENS);
  });

  test('n answers of a seed differ from each other and not from themselves, whatever is asked beside them', async () => {
    const more = { n: 3, seed: 5, temperature: 1.5, max_tokens: 8 };
    const [first, second] = await Promise.all([
      ask('base', 'Hello', more),
      ask('base', 'Hello', more),
      ask('green', PROMPTS[1] ?? '', { temperature: 1 }),
    ]);
    const texts = (answer: typeof first) => answer.choices.map(({ message }) => message.content);
    expect(texts(second)).toEqual(texts(first));
    expect(new Set(texts(first)).size).toBe(3);
    expect(first.choices.map(({ index }) => index)).toEqual([0, 1, 2]);
    expect(first.usage?.completion_tokens).toBeGreaterThan(8);
  });

  test('a stop text ends the answer before it, streamed or not, and nothing of it is sent', async () => {
    const whole = (await textOf('base', PROMPTS[0] ?? '', onAndOn())) ?? '';
    const stop = whole.slice(4, 8);
    const expected = whole.slice(0, whole.indexOf(stop));
    const cut = await ask('base', PROMPTS[0] ?? '', { stop: ['never said', stop], ...onAndOn() });
    expect(cut.choices[0]).toMatchObject({ message: { content: expected }, finish_reason: 'stop' });
    const stream = await client.chat.completions.create({
      ...{ model: 'base', messages: [{ role: 'user', content: PROMPTS[0] ?? '' }], max_tokens: TOKENS, temperature: 0 },
      ...{ stream: true, stop, ...onAndOn() },
    });
    let text = '';
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? '';
    expect(text).toBe(expected);
  });

  test('log-probabilities are of each token, likeliest first, and spell the text', async () => {
    const { choices } = await ask('base', PROMPTS[0] ?? '', { logprobs: true, top_logprobs: 3, ...onAndOn() });
    const tokens = choices[0]?.logprobs?.content ?? [];
    expect(tokens).toHaveLength(TOKENS);
    expect(tokens.map(({ token }) => token).join('')).toContain(choices[0]?.message.content?.trim());
    for (const { token, logprob, top_logprobs } of tokens) {
      expect(top_logprobs).toHaveLength(3);
      const [best] = top_logprobs;
      // The end of the answer is likelier at times, and was not to be taken.
      if (best?.token !== served.tokenizer.eosText) expect(best).toMatchObject({ token, logprob });
      else expect(best.logprob).toBeGreaterThan(logprob);
      expect(logprob).toBeLessThanOrEqual(0);
    }
  });

  test('a bias and penalties change what is said', async () => {
    const [first] = (await ask('base', 'Hello', { logprobs: true })).choices[0]?.logprobs?.content ?? [];
    const [id = 0] = served.tokenizer.encode(first?.token ?? '');
    const banned = await ask('base', 'Hello', { logprobs: true, logit_bias: { [id]: -100 } });
    expect(banned.choices[0]?.logprobs?.content?.map(({ token }) => token)).not.toContain(first?.token);
    const repeated = await ask('base', 'Hello', { logit_bias: { [id]: 100 } });
    const penalised = await ask('base', 'Hello', { logit_bias: { [id]: 2 }, frequency_penalty: 2 });
    expect(repeated.choices[0]?.message.content).not.toBe(penalised.choices[0]?.message.content);
  });
});

test('completions go on with a text as with its tokens, several at once, with offsets of their tokens', async () => {
  const ids = served.tokenizer.encode(PROMPTS[0] ?? '', { addSpecialTokens: true });
  const body = { model: 'base', max_tokens: 6, temperature: 0, logprobs: 2 };
  const [text, tokens] = await Promise.all([
    client.completions.create({ ...body, prompt: [PROMPTS[0] ?? '', PROMPTS[1] ?? ''] }),
    client.completions.create({ ...body, prompt: ids }),
  ]);
  expect(text.choices).toHaveLength(2);
  expect(tokens.choices[0]?.text).toBe(text.choices[0]?.text);
  const { logprobs } = tokens.choices[0] ?? {};
  expect(logprobs?.tokens).toHaveLength(6);
  expect(logprobs?.token_logprobs?.every((logprob) => logprob <= 0)).toBe(true);
  // The first token is a special one, which is none of the text.
  expect(logprobs?.text_offset?.slice(0, 3)).toEqual([0, 0, logprobs?.tokens?.[1]?.length]);
  const stream = await client.completions.create({ ...body, prompt: ids, stream: true });
  let streamed = '';
  for await (const chunk of stream) streamed += chunk.choices[0]?.text ?? '';
  expect(streamed).toBe(tokens.choices[0]?.text);
});

test('a caller that goes away frees its row, and others are answered', async () => {
  const from = begun.length;
  const long = { max_tokens: 110, temperature: 0 };
  const gone = new AbortController();
  const stream = await client.chat.completions.create(
    { model: 'base', messages: [{ role: 'user', content: 'Hello' }], ...long, stream: true, ...onAndOn() },
    { signal: gone.signal },
  );
  for await (const chunk of stream) if (chunk.choices[0]?.delta.content) break;
  gone.abort();
  await textOf('red', 'Hello');
  const { finishReason, ids } = (await begun[from]?.completion) ?? {};
  expect(finishReason).toBe('cancelled');
  expect(ids?.length).toBeLessThan(110);
});

test('a request of many answers shares the rows with those that come after it', async () => {
  const gone = new AbortController();
  const flood = client.completions.create(
    { model: 'base', prompt: Array.from({ length: 60 }, () => 'Hello'), max_tokens: 40, ...onAndOn() },
    { signal: gone.signal },
  );
  const first = await Promise.race([flood.then(() => 'flood'), textOf('red', 'Hello').then(() => 'other')]);
  expect(first).toBe('other');
  gone.abort();
  await expect(flood).rejects.toThrow();
});

test('a prompt that fills the context is scored, and one with little room is given what is left', async () => {
  const ids = Array.from({ length: served.contextMax }, (_, i) => 5 + (i % 90));
  const go = (prompt: number[], more: object) =>
    client.completions.create({ model: 'base', prompt, temperature: 0, stream: false, ...onAndOn(), ...more });
  const scored = await go(ids, { max_tokens: 0, echo: true, logprobs: 1 });
  expect(scored.choices[0]?.logprobs?.token_logprobs?.filter(Number.isFinite)).toHaveLength(ids.length - 1);
  expect([scored.choices[0]?.finish_reason, scored.usage?.completion_tokens]).toEqual(['length', 0]);
  expect((await go(ids.slice(5), {})).usage?.completion_tokens).toBe(5);
  await expect(go(ids, {})).rejects.toMatchObject({ status: 400, param: 'prompt' });
  await expect(go([...ids, 5], { max_tokens: 0 })).rejects.toMatchObject({ status: 400, param: 'prompt' });
});

test('an answer that said nothing is part of a conversation', async () => {
  const messages = ['Hello', '', 'Hello?'].map((content, i) => ({ role: i === 1 ? 'assistant' : 'user', content }));
  await client.post('/chat/completions', { body: { model: 'base', messages, max_tokens: 1 } });
  expect(served.tokenizer.decode(lastPrompt, { skipSpecialTokens: true })).toContain('Hello?');
});

toolsSuite(() => ({ client, lastPrompt: () => served.tokenizer.decode(lastPrompt, { skipSpecialTokens: false }) }));

batterySuite(() => ({ url, key: 'secret', begun }));

storiesSuite();
transformersSuite(() => ({ client, tokenizer: served.tokenizer }));

test('tools are refused by name under a template that writes no calls', async () => {
  const tokenizer = await loadTokenizer(BASE);
  const request = { model: 'plain', messages: [{}], tools: [{ type: 'function' as const, function: { name: 'a' } }] };
  expect(() => readingOf({ tokenizer, baseName: 'plain', vocabSize: 1024 }, request, request.tools)).toThrow(
    "The chat template of 'plain' writes calls of tools in no form that is read here.",
  );
});

const TOOL = { tools: [{ type: 'function', function: { name: 'a' } }] };

describe('refused by name', () => {
  test.each<[body: object, status: number, param: string | null, message: RegExp]>([
    [{ model: 'rad' }, 404, 'model', /no model 'rad' here\. Did you mean 'red'/],
    [{ temprature: 1 }, 400, 'temprature', /Did you mean 'temperature'/],
    [{ temperature: 3 }, 400, 'temperature', /temperature/],
    [{ tools: [{ type: 'function' }] }, 400, 'tools[0].function', /expected object/],
    [{ tools: [{ type: 'custom', custom: {} }] }, 400, 'tools[0].custom', /custom/],
    [{ tools: [{ type: 'function', function: { name: 'a b' } }] }, 400, 'tools[0].function.name', /letters/],
    [
      { tools: [{ type: 'function', function: { name: 'a', strict: true } }] },
      400,
      'tools[0].function.strict',
      /strict/,
    ],
    [{ tool_choice: 'required' }, 400, 'tool_choice', /asks for a call; tools has none/],
    [{ ...TOOL, tool_choice: { type: 'function', function: { name: 'b' } } }, 400, 'tool_choice', /'b'; tools has a/],
    [{ ...TOOL, tool_choice: 'any' }, 400, 'tool_choice', /tool_choice/],
    [{ ...TOOL, response_format: { type: 'json_object' } }, 400, 'response_format', /and tools for calls/],
    [{ response_format: { type: 'json_schema', json_schema: {} } }, 400, 'response_format', /json_schema/],
    [{ top_logprobs: 2 }, 400, 'top_logprobs', /without logprobs/],
    [{ max_tokens: 4, max_completion_tokens: 5 }, 400, 'max_tokens', /differ/],
    [{ max_tokens: 1_000 }, 400, 'max_tokens', /max_tokens is 1000; the context is 128/],
    [{ max_completion_tokens: 1_000 }, 400, 'max_completion_tokens', /max_completion_tokens is 1000/],
    [{ logit_bias: { 99999: 1 } }, 400, 'logit_bias', /names the token 99999/],
    [{ messages: [{ role: 'usr', content: 'a' }] }, 400, 'messages[0].role', /Did you mean 'user'/],
    [{ messages: [{ role: 'user', content: [{ type: 'image_url' }] }] }, 400, 'messages[0].content[0]', /Images/],
    [{ messages: [{ role: 'user', content: 'word '.repeat(200) }] }, 400, 'messages', /the context is 128/],
  ])('%o', async (body, status, param, message) => {
    const request = { model: 'base', messages: [{ role: 'user', content: 'a' }], ...body };
    const answer = await fetch(`${url}/chat/completions`, {
      method: 'POST',
      headers: { authorization: 'Bearer secret', 'content-type': 'application/json' },
      body: JSON.stringify(request),
    });
    const { error } = (await answer.json()) as { error: { message: string; param: string | null } };
    expect([answer.status, error.param]).toEqual([status, param]);
    expect(error.message).toMatch(message);
  });

  test('a text without a letter, and one that is too long, under the key of its endpoint', async () => {
    const go = (prompt: string) => client.completions.create({ model: 'base', prompt, max_tokens: 4 });
    await expect(go('')).rejects.toMatchObject({ status: 400, param: 'prompt' });
    await expect(go('word '.repeat(200))).rejects.toMatchObject({ status: 400, param: 'prompt' });
  });

  test('what would hold up everybody: a text far beyond the context before it is split, and more answers than a request may have', async () => {
    const long = 'word '.repeat(2_000_000);
    const content = { model: 'base', messages: [{ role: 'user' as const, content: long }] };
    const refusal = (param: string, message: RegExp) =>
      expect.objectContaining({ status: 400, param, message: expect.stringMatching(message) });
    await expect(client.completions.create({ model: 'base', prompt: long })).rejects.toEqual(
      refusal('prompt', /10000000 bytes; the context is 128/),
    );
    await expect(client.chat.completions.create(content)).rejects.toEqual(refusal('messages', /bytes; the context/));
    const many = (length: number, n: number) =>
      client.completions.create({ model: 'base', prompt: Array.from({ length }, () => 'a'), n });
    await expect(many(40_000, 1)).rejects.toEqual(refusal('prompt', /40000 answers; a request has at most 4096/));
    await expect(many(33, 128)).rejects.toEqual(refusal('n', /4224 answers/));
  });

  test('values that change nothing are taken', async () => {
    const same = { store: false, n: 1, response_format: { type: 'text' }, service_tier: 'auto', tools: [], user: 'me' };
    const content = [
      { type: 'text', text: PROMPTS[0]?.slice(0, 5) },
      { type: 'text', text: PROMPTS[0]?.slice(5) },
    ];
    const { choices } = await ask('base', '', { ...same, messages: [{ role: 'user', content }] });
    expect(choices[0]?.message.content).toBe((await alone(null))[0]);
  });

  test('a request without the key, and models for who has it', async () => {
    expect((await fetch(`${url}/models`)).status).toBe(401);
    const { data } = await client.models.list();
    expect(data.map(({ id }) => id)).toEqual(['base', 'red', 'green', 'blue']);
  });
});

test('models of one name are refused before anything is served', async () => {
  const open = (...adapters: { name: string; dir: string }[]) =>
    openServed({ baseDir: BASE, baseName: 'base', adapters });
  const red = { name: 'red', dir: dirs.red };
  await expect(open(red, red)).rejects.toThrow("Two adapters are called 'red'");
  await expect(open({ name: 'base', dir: dirs.red })).rejects.toThrow("Two models are called 'base'");
});

test('the server closes while answers are under way', async () => {
  const short = createInference({ served, key: null, log: pino({ level: 'silent' }) });
  const address = await short.listen({ host: '127.0.0.1', port: 0 });
  const body = { model: 'base', messages: [{ role: 'user', content: 'a' }], max_tokens: 100, stream: true };
  const answer = await fetch(`${address}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  expect(answer.status).toBe(200);
  const closed = once(short.server, 'close');
  await short.close();
  await closed;
});

test('a stream that says nothing for a while shows that it lives, in comments, and loses nothing', async () => {
  let goOn: () => void = () => undefined;
  const quiet = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  let isClosed = false;
  async function* events(): AsyncGenerator<string> {
    try {
      yield 'one';
      await quiet;
      yield 'two';
      yield 'three';
    } finally {
      isClosed = true;
    }
  }
  const seen: string[] = [];
  for await (const event of withHeartbeats(events(), 5)) {
    seen.push(event);
    if (seen.length === 3) goOn();
  }
  const beat = ': waiting\n\n';
  expect(seen.slice(0, 3)).toEqual(['one', beat, beat]);
  expect(seen.filter((event) => event !== beat)).toEqual(['one', 'two', 'three']);
  const left = withHeartbeats(events(), 1_000);
  isClosed = false;
  await left.next();
  await left.return(undefined);
  expect(isClosed).toBe(true);
});
