import { readdir } from 'node:fs/promises';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from './support.js';

// Clients that break off, or say another thing than they send. None of it is a fault of ours, and nothing of it stays.

let api: TestApi;
const logged: { level: number; msg: string; status?: number }[] = [];
beforeAll(async () => {
  api = await startApi();
  const log = api.services.log as unknown as { level: string; [pino.symbols.streamSym]: { write(line: string): void } };
  log.level = 'info';
  log[pino.symbols.streamSym] = { write: (line) => void logged.push(JSON.parse(line)) };
});
afterAll(() => api.close());
beforeEach(() => logged.splice(0));

const PURPOSE = '--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n';
const part = (field: string, name: string) =>
  `--b\r\nContent-Disposition: form-data; name="${field}"; filename="${name}"\r\nContent-Type: text/plain\r\n\r\n{"text":"a"}\r\n`;
const END = '--b--\r\n';

/** Sends bytes as they are. `length` is what the header announces, `null`: chunked. Returns status and text of the answer. */
async function send(
  path: string,
  type: string,
  body: string | Buffer,
  { length = Buffer.byteLength(body), abortMs = 0 } = {},
) {
  const { port, hostname } = new URL(api.url);
  const socket = connect(Number(port), hostname);
  let text = '';
  socket.on('data', (piece) => {
    text += piece.toString();
  });
  socket.on('error', () => undefined);
  socket.write(
    `POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer ${api.key}\r\nContent-Type: ${type}\r\nContent-Length: ${length}\r\n\r\n`,
  );
  socket.write(body);
  if (abortMs > 0) {
    await sleep(abortMs);
    socket.resetAndDestroy();
  } else await new Promise((resolve) => socket.once('close', resolve));
  return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1] ?? 0), text };
}

const stored = async (): Promise<string[]> =>
  (await readdir(api.blobsDir, { recursive: true, withFileTypes: true }).catch(() => []))
    .filter((entry) => entry.isFile())
    .map(({ name }) => name);

const UPLOADS = [
  ['/v1/files', PURPOSE + part('file', 'a.jsonl')],
  ['/v1/bases', part('files', 'config.json')],
  ['/v1/adapters', part('files', 'README.md')],
] as const;

describe.each(UPLOADS)('a form to %s', (path, body) => {
  it.each([
    ['without a boundary', 'multipart/form-data', body + END, /boundary/i],
    ['with an empty boundary', 'multipart/form-data; boundary=', body + END, /boundary|cut short/i],
    ['with another boundary than its parts have', 'multipart/form-data; boundary=zz', body + END, /cut short/],
    ['without its end', 'multipart/form-data; boundary=b', body, /cut short/],
    ['without the -- at its end', 'multipart/form-data; boundary=b', `${body}--b`, /cut short/],
    ['cut inside its file', 'multipart/form-data; boundary=b', body.slice(0, -6), /cut short/],
    ['cut inside a header', 'multipart/form-data; boundary=b', body.slice(0, 40), /cut short/],
    ['of another kind', 'multipart/mixed; boundary=b', body + END, /content type/],
  ])('%s is refused as the sender’s, with what is wrong, and leaves nothing', async (_what, type, sent, says) => {
    const before = await stored();
    const { status, text } = await send(path, type, sent);
    expect(status).toBe(400);
    expect(text).toMatch(says);
    expect(await stored()).toEqual(before);
    expect(logged.filter(({ level }) => level >= 40)).toEqual([]);
  });

  it.each([
    ['inside its file', body.slice(0, -6)],
    ['before its first part', ''],
    ['after a whole file', body],
  ])('whose sender goes away %s is no error in the log, and leaves nothing', async (_where, sent) => {
    const before = await stored();
    await send(path, 'multipart/form-data; boundary=b', sent, { length: 1_000, abortMs: 150 });
    const incoming = () => readdir(`${api.blobsDir}/incoming`, { recursive: true }).catch(() => []);
    await sleep(250);
    await expect.poll(incoming, { timeout: 20_000 }).toEqual([]);
    expect(logged.filter(({ level }) => level >= 40)).toEqual([]);
    expect(logged.map(({ msg }) => msg).join()).not.toMatch(/server/i);
    expect(await stored()).toEqual(before);
  });
});

describe('a name or a value in a form', () => {
  const PART = '--b\r\nContent-Disposition: form-data; ';
  /** Letters are bytes. */
  const upload = (file: string, field = 'name="purpose"\r\n\r\nfine-tune') =>
    send(
      '/v1/files',
      'multipart/form-data; boundary=b',
      Buffer.from(`${PART}${field}\r\n${PART}name="file"; ${file}\r\n\r\n{"text":"a"}\r\n${END}`, 'latin1'),
    );

  it.each([
    ['a byte that begins nothing', 'filename="a\xff.jsonl"', undefined, 'file'],
    ['half of a surrogate pair', 'filename="a\xed\xa0\xbd.jsonl"', undefined, 'file'],
    ['Latin-1', 'filename="caf\xe9.jsonl"', undefined, 'file'],
    ['it behind a name that says U+FFFD', 'filename="\xef\xbf\xbd\xff.jsonl"', undefined, 'file'],
    ['an escaped byte', "filename*=utf-8''a%ff.jsonl", undefined, 'file'],
    ['an escaped half', "filename*=UTF-8'en'%ED%A0%BD.jsonl", undefined, 'file'],
    ['an escaped byte of an unknown encoding', "filename*=shift_jis''%83.jsonl", undefined, 'file'],
    ['it in the name of a field', 'filename="a.jsonl"', 'name="purp\xffose"\r\n\r\nfine-tune', null],
    ['it in a value', 'filename="a.jsonl"', 'name="purpose"\r\n\r\nfine\xfftune', 'purpose'],
    ['a letter that a value’s end cuts', 'filename="a.jsonl"', 'name="purpose"\r\n\r\nfine-tune\xc3', 'purpose'],
  ])('with %s is refused, and leaves nothing', async (_what, file, field, param) => {
    const before = await stored();
    const { status, text } = await upload(file, field);
    expect([status, text]).toEqual([400, expect.stringContaining('bytes that are not UTF-8')]);
    expect(JSON.parse(text.slice(text.indexOf('{'), text.lastIndexOf('}') + 1)).error.param).toBe(param);
    expect(await stored()).toEqual(before);
  });

  it.each([
    ['U+FFFD itself', 'filename="a\xef\xbf\xbd.jsonl"', 'a\ufffd.jsonl'],
    ['letters of UTF-8', 'filename="caf\xc3\xa9 \xf0\x9f\x98\x80.jsonl"', 'café 😀.jsonl'],
    ['escaped UTF-8', "filename*=utf-8''caf%C3%A9.jsonl", 'café.jsonl'],
    ['escaped Latin-1 that says so', "filename*=iso-8859-1''caf%e9.jsonl", 'café.jsonl'],
  ])('with %s is taken', async (_what, file, filename) => {
    const { status, text } = await upload(file);
    expect([status, text]).toEqual([200, expect.stringContaining(JSON.stringify(filename))]);
  });
});

it.each([
  ['lists', '['.repeat(100_000) + ']'.repeat(100_000)],
  ['objects', `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`],
  ['objects in metadata', `{"metadata":${'{"a":'.repeat(3_000)}1${'}'.repeat(3_000)}}`],
  ['lists that never close', '['.repeat(100_000)],
])('a body of deeply nested %s is refused with what is wrong', async (_what, body) => {
  const { status, json } = await api.ask('POST', '/v1/fine_tuning/jobs', {
    body,
    headers: { 'content-type': 'application/json' },
  });
  expect(status).toBe(400);
  expect(json.error.message).toMatch(/nested more than 64 levels|not JSON/);
});

it('a body whose sender goes away is no error in the log', async () => {
  await send('/v1/fine_tuning/jobs', 'application/json', '{"model":', { length: 1_000, abortMs: 150 });
  await sleep(200);
  expect(logged.filter(({ level }) => level >= 40)).toEqual([]);
});

/** Sends a whole request as it is, and ends. */
async function sendRaw(request: string): Promise<{ head: string; body: string }> {
  const { port, hostname } = new URL(api.url);
  const socket = connect(Number(port), hostname);
  const pieces: Buffer[] = [];
  socket.on('data', (piece) => pieces.push(piece));
  socket.on('error', () => undefined);
  socket.end(request.replace('KEY', `Authorization: Bearer ${api.key}`));
  await new Promise((resolve) => socket.once('close', resolve));
  const [head = '', body = ''] = Buffer.concat(pieces).toString().split('\r\n\r\n');
  return { head, body };
}

const POST = 'POST /v1/webhooks HTTP/1.1\r\nHost: x\r\nKEY\r\nContent-Type: application/json\r\n';

describe('a request that is no HTTP', () => {
  it.each([
    ['whose body is shorter than its length', `${POST}Content-Length: 500\r\n\r\n{"url":`, 400, /ended before/],
    ['with a length that is no number', `${POST}Content-Length: abc\r\n\r\n{}`, 400, /not valid HTTP/],
    ['with a piece of no length', `${POST}Transfer-Encoding: chunked\r\n\r\nzz\r\n{}`, 400, /not valid HTTP/],
    [
      'with headers of 20 kB',
      `GET /v1/files HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`,
      431,
      /URL and headers/,
    ],
    ['of a method that there is not', 'MAKE /v1/files HTTP/1.1\r\nHost: x\r\n\r\n', 400, /not valid HTTP/],
    ['of TLS', '\x16\x03\x01\x02\x00\x01\x00\x01', 400, /not valid HTTP/],
  ])('%s is refused in the form of every other error', async (_what, request, status, says) => {
    const { head, body } = await sendRaw(request);
    expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} [\\s\\S]*x-request-id: \\w+[\\s\\S]*x-should-retry: false`));
    const error = { message: expect.stringMatching(says), type: 'invalid_request_error', param: null };
    expect(JSON.parse(body)).toEqual({ error: { ...error, code: 'invalid_request' } });
    expect(logged.filter(({ level }) => level >= 40)).toEqual([]);
  });
});
