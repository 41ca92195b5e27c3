import { request as httpRequest } from 'node:http';
import { createRandom } from '@moraine/data';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { baseFiles, baseForm, prepare, submit, train } from './fixtures.js';
import { fileForm, startApi, type TestApi } from './support.js';

// Whatever a caller sends, the answer is about it: no route of the document ever answers 5xx. FUZZ_SEED and FUZZ_ROUTE_ROUNDS try others.
const SEED = Number(process.env.FUZZ_SEED ?? 1);
const ROUNDS = Number(process.env.FUZZ_ROUTE_ROUNDS ?? 12);
// More rounds take longer, on a busy machine too; an answer that is late is no fault here.
vi.setConfig({ testTimeout: 60_000 + 10_000 * ROUNDS });

interface Parameter {
  in: string;
  name: string;
}
interface Operation {
  operationId: string;
  parameters?: Parameter[];
  requestBody?: { content: Record<string, unknown> };
}

let api: TestApi;
let operations: { method: string; path: string; operation: Operation }[];
/** Ids that exist, so that a request comes past the first look-up. */
let ids: string[];
let valid: Record<string, unknown>;
beforeAll(async () => {
  api = await startApi({ uploadLimitBytes: 50_000 });
  const given = await prepare(api);
  const run = await submit(api, given);
  await train(api.services, run.id);
  const { fine_tuned_model: model } = (await api.ask('GET', `/v1/fine_tuning/jobs/${run.id}`)).json;
  const queued = await submit(api, given);
  ids = [given.file, given.model, run.id, queued.id, model];
  valid = { model: given.model, training_file: given.file, max_steps: 3, adapter: { rank: 2 }, metadata: { a: 'b' } };
  const { paths } = (await (await fetch(`${api.url}/openapi.json`)).json()) as {
    paths: Record<string, Record<string, Operation>>;
  };
  operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method, path, operation })),
  );
});
afterAll(() => api.close());

const { next, pick: oneOf, chance: maybe } = createRandom(SEED);
const below = (end: number): number => Math.floor(next() * end);

const TEXTS = [
  ...['', ' ', 'null', 'undefined', 'NaN', '-1', '0', '1e999', '9'.repeat(30), '1.5', 'true', '[]', '{}', "'; --", '%'],
  ...['\ud83d', 'x\udc00', '\u0000', 'a\u0000b', '😀', 'é'.repeat(200), '\u202e', '../../etc/passwd', '__proto__'],
  ...['constructor', 'x'.repeat(300), 'x'.repeat(5_000), '1-1', '18446744073709551616-0', 'ftjob-none', 'file-none'],
];
const NUMBERS = [0, -1, 1.5, 2 ** 31, 2 ** 53, 1e308, -1e308, 5e-324];
const text = (): string => (maybe(0.3) ? oneOf(ids) : oneOf(TEXTS));

/** Any JSON value, shallow. */
function value(depth = 0): unknown {
  const kind = below(depth > 2 ? 5 : 8);
  if (kind < 2) return text();
  if (kind < 4) return oneOf(NUMBERS);
  if (kind === 4) return oneOf([null, true, false]);
  if (kind === 5) return Array.from({ length: below(4) }, () => value(depth + 1));
  return Object.fromEntries(Array.from({ length: below(4) }, () => [text(), value(depth + 1)]));
}

/** A value of the request's schema, or anything. */
const WORDS = [
  'lora',
  'mora',
  'oft',
  'none',
  'adamw',
  'lion',
  'cosine',
  'linear',
  'auto',
  'all-linear',
  'bf16',
  'drop',
];
const KEYS = [
  ...['adapter', 'optimizer', 'schedule', 'evaluation', 'checkpoint', 'method', 'hyperparameters', 'metadata', 'type'],
  ...['suffix', 'seed', 'max_steps', 'batch_size', 'accumulation', 'max_seq_len', 'over_length', 'pool', 'priority'],
  ...['rank', 'alpha', 'mora_type', 'target_modules', 'learning_rate', 'betas', 'warmup_steps', 'files', 'every_steps'],
  ...['n_epochs', 'supervised', 'integrations', 'validation_file', 'dry_run', 'packing', 'mode', 'max_attempts'],
];
const plausible = (depth = 0): unknown => {
  if (maybe(0.3)) return oneOf(WORDS);
  if (maybe(0.4)) return below(9);
  if (depth > 2 || maybe(0.3)) return value();
  return Object.fromEntries(Array.from({ length: 1 + below(3) }, () => [oneOf(KEYS), plausible(depth + 1)]));
};
function body(): string {
  if (maybe(0.05)) return `${'['.repeat(200_000)}`;
  if (maybe(0.05)) return `{"metadata":${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}}`;
  const changed: Record<string, unknown> = maybe(0.8) ? { ...valid } : {};
  for (let i = below(3); i >= 0; i--) changed[maybe(0.9) ? oneOf(KEYS) : text()] = plausible();
  const json = JSON.stringify(maybe(0.95) ? changed : value());
  return maybe(0.1) ? json.slice(0, below(json.length)) : json;
}

/** A form as bytes, cut or damaged somewhere. */
async function form(operationId: string): Promise<{ type: string; bytes: Buffer }> {
  const fields = () =>
    Object.fromEntries(Array.from({ length: below(3) }, () => [oneOf(['expires_after[seconds]', text()]), text()]));
  const right =
    operationId === 'createFile'
      ? fileForm(
          '{"prompt":"a","completion":"b"}\n',
          { purpose: oneOf(['fine-tune', 'evals']), ...fields() },
          oneOf(['a.jsonl', text()]),
        )
      : baseForm(text(), { ...baseFiles(), ...(maybe(0.3) && { 'config.json': body() }) });
  const { headers, arrayBuffer } = await wire(right);
  let bytes = Buffer.from(arrayBuffer);
  if (maybe(0.4)) bytes = bytes.subarray(0, below(bytes.length));
  for (let i = maybe(0.5) ? below(4) : 0; i > 0 && bytes.length > 0; i--)
    bytes[below(Math.min(bytes.length, 600))] = below(256);
  const type = maybe(0.9)
    ? headers
    : oneOf(['multipart/form-data', 'multipart/form-data; boundary=', 'multipart/form-data; boundary=x', 'text/plain']);
  return { type, bytes };
}
async function wire(data: FormData): Promise<{ headers: string; arrayBuffer: ArrayBuffer }> {
  const response = new Response(data);
  return { headers: response.headers.get('content-type') ?? '', arrayBuffer: await response.arrayBuffer() };
}

const encode = (part: string): string => {
  if (maybe(0.05)) return oneOf(['%ED%A0%BD', '%', '%zz', '%C3%28', '%00', 'a%2Fb']);
  return encodeURIComponent(part.replaceAll(/\p{Surrogate}/gu, '\ufffd'));
};
const header = (): string =>
  oneOf([
    '1',
    '-1',
    '1e9',
    '0-0',
    '1-1',
    '99999999999999999999-1',
    'x'.repeat(4_000),
    '\u00ed\u00a0\u00bd',
    '"',
    'W/"x"',
    '',
  ]);
const HEADERS = [
  'idempotency-key',
  'x-stainless-retry-count',
  'last-event-id',
  'if-none-match',
  'x-request-id',
  'accept',
  'cookie',
  'origin',
  'range',
  'accept-encoding',
];

/** Sends bytes as they are; the status of the answer, 0 when the server ended the connection, which a broken frame deserves. */
function send(
  method: string,
  path: string,
  headers: Record<string, string>,
  bytes?: Buffer,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve) => {
    const request = httpRequest(api.url + path, {
      method,
      headers: { authorization: `Bearer ${api.key}`, ...headers },
    });
    request.setTimeout(15_000, () => resolve({ status: 599, text: 'no answer' }));
    request.on('error', () => resolve({ status: 0, text: '' }));
    request.on('response', (response) => {
      const done = (text: string): void => {
        resolve({ status: response.statusCode ?? 0, text });
        request.destroy();
      };
      // A live stream never ends by itself.
      if (response.headers['content-type']?.startsWith('text/event-stream')) done('');
      let said = '';
      response.on('data', (chunk: Buffer) => {
        said += chunk.toString();
      });
      response.on('end', () => done(said));
    });
    request.end(bytes);
  });
}

async function requestFor({ method, path, operation }: (typeof operations)[number]) {
  const parameters = operation.parameters ?? [];
  let address = path;
  for (const { name } of parameters.filter((one) => one.in === 'path'))
    address = address.replace(`{${name}}`, encode(text()) || 'x');
  const queries = parameters.filter((one) => one.in === 'query' && maybe(0.5)).map(({ name }) => [name, text()]);
  if (maybe(0.2)) queries.push([oneOf(['metadata[a]', 'metadata', 'q', text()]), text()]);
  if (queries.length > 0)
    address += `?${queries.map(([name = '', item = '']) => `${encode(name)}=${encode(item)}`).join('&')}`;
  const headers: Record<string, string> = {};
  if (maybe(0.3)) headers[oneOf(HEADERS)] = header();
  const type = Object.keys(operation.requestBody?.content ?? {})[0];
  if (type === undefined) return { method, address, headers, bytes: undefined };
  if (type === 'application/json')
    return { method, address, headers: { ...headers, 'content-type': type }, bytes: Buffer.from(body()) };
  const sent = await form(operation.operationId);
  return { method, address, headers: { ...headers, 'content-type': sent.type }, bytes: sent.bytes };
}

describe(`${ROUNDS} odd requests a route (seed ${SEED})`, () => {
  it('get no answer of 500 or more, and every refusal says why', async () => {
    expect(operations.length).toBeGreaterThan(20);
    const before = process.memoryUsage.rss();
    const faults: unknown[] = [];
    const statuses = new Map<number, number>();
    for (const one of operations) {
      for (let round = 0; round < ROUNDS; round++) {
        const { method, address, headers, bytes } = await requestFor(one);
        const { status, text: said } = await send(method.toUpperCase(), address, headers, bytes);
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
        const isExplained = status < 400 || said.includes('"message"');
        if (status >= 500 || (!isExplained && status !== 0))
          faults.push({
            method,
            address: address.slice(0, 200),
            headers,
            body: bytes?.toString('latin1').slice(0, 600),
            status,
            said,
          });
      }
    }
    expect(faults).toEqual([]);
    expect(process.memoryUsage.rss() - before).toBeLessThan(256 * 2 ** 20);
    // It must have come past the door.
    expect(statuses.get(200)).toBeGreaterThan(ROUNDS);
    expect(statuses.get(400)).toBeGreaterThan(ROUNDS);
  });
});
