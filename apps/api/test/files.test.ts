import { readdir } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chatRows, fileForm, startApi, type TestApi } from './support.js';

let api: TestApi;
beforeAll(async () => {
  api = await startApi({ uploadLimitBytes: 200_000 });
});
afterAll(() => api.close());

/** Files in blob storage, of all projects. */
const storedFiles = async (): Promise<number> => {
  const entries = await readdir(api.blobsDir, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).length;
};

const upload = (form: FormData) => api.ask('POST', '/v1/files', { body: form });

describe('uploading a file', () => {
  it('works with the file before its purpose and after it', async () => {
    const first = await upload(fileForm(chatRows(3)));
    expect([first.status, first.json.status, first.json.rows]).toEqual([200, 'processed', 3]);
    const form = new FormData();
    form.append('purpose', 'fine-tune');
    form.append('file', new Blob([chatRows(2)]), 'b.jsonl');
    const second = await upload(form);
    expect([second.status, second.json.rows, second.json.filename]).toEqual([200, 2, 'b.jsonl']);
  });

  it('gives the bytes back as they came, with their name', async () => {
    const text = chatRows(5);
    const { json } = await upload(fileForm(text, { purpose: 'fine-tune' }, 'naïve data.jsonl'));
    const content = await api.ask('GET', `/v1/files/${json.id}/content`, { headers: { accept: 'application/binary' } });
    expect(content.text).toBe(text);
    expect(content.headers.get('content-length')).toBe(String(Buffer.byteLength(text)));
    expect(content.headers.get('content-disposition')).toContain("filename*=UTF-8''na%C3%AFve%20data.jsonl");
  });

  it('keeps only the last part of a name that is a path', async () => {
    const { json } = await upload(fileForm(chatRows(1), { purpose: 'fine-tune' }, '../../etc/passwd'));
    expect(json.filename).toBe('passwd');
  });

  it('says which line, key and fix when a row is wrong', async () => {
    const { json } = await upload(fileForm(`${chatRows(1)}\n{"messages":[{"role":"usr","content":"x"}]}`));
    expect(json.status).toBe('error');
    expect(json.problems[0]).toMatchObject({ line: 2, key: expect.stringContaining('role'), hint: expect.any(String) });
  });

  it('lists all that is wrong with it, and shows rows as a base reads them', async () => {
    const { json } = await upload(fileForm(`${chatRows(1)}\n${'{"messages":[]}\n'.repeat(40)}`));
    const found = await api.ask('GET', `/v1/files/${json.id}/validation`);
    expect([found.status, found.json.object, found.json.problems.length]).toEqual([200, 'file.validation', 40]);
    expect(found.json.problems[39]).toMatchObject({ line: 41, pointer: '/messages' });
    const without = await api.ask('GET', `/v1/files/${json.id}/preview`);
    expect([without.status, without.json.error.param]).toEqual([400, 'model']);
    const unknown = await api.ask('GET', `/v1/files/${json.id}/preview?model=none&limit=3&max_seq_len=8`);
    expect([unknown.status, unknown.json.error.code]).toEqual([404, 'not_found']);
  });

  it.each([
    ['no file', () => fileForm('x', { purpose: 'fine-tune' }), 'file'],
    ['no purpose', () => fileForm(chatRows(1), {}), 'purpose'],
    ['an unknown purpose', () => fileForm(chatRows(1), { purpose: 'fine-tuned' }), 'purpose'],
    ['an unknown field', () => fileForm(chatRows(1), { purpose: 'fine-tune', perpose: 'x' }), 'perpose'],
    [
      'an expiry that is too short',
      () => fileForm(chatRows(1), { purpose: 'fine-tune', 'expires_after[seconds]': '5' }),
      'expires_after[seconds]',
    ],
    [
      'an anchor alone',
      () => fileForm(chatRows(1), { purpose: 'fine-tune', 'expires_after[anchor]': 'created_at' }),
      'expires_after[seconds]',
    ],
  ])('refuses a form with %s', async (name, form, param) => {
    const sent = form();
    if (name === 'no file') sent.delete('file');
    const answer = await upload(sent);
    expect([answer.status, answer.json.error.param]).toEqual([400, param]);
  });

  it('refuses a body that is no form, and a file in another field', async () => {
    expect((await api.ask('POST', '/v1/files', { body: { purpose: 'fine-tune' } })).json.error.message).toMatch(
      /multipart\/form-data/,
    );
    const form = new FormData();
    form.append('data', new Blob(['x']), 'x.jsonl');
    expect((await upload(form)).json.error).toMatchObject({ code: 'unknown_key', param: 'data' });
  });

  it.each([
    ['inside the file', 'name="file"; filename="x.jsonl"\r\n\r\n{"prompt":'],
    ['inside the head of a part', 'name="file"; file'],
    ['before the last boundary', 'name="purpose"\r\n\r\nfine-tune'],
    ['inside the last boundary', 'name="purpose"\r\n\r\nfine-tune\r\n--'],
  ])('refuses a form that is cut %s, and keeps nothing of it', async (_where, rest) => {
    const before = await storedFiles();
    const answer = await api.ask('POST', '/v1/files', {
      body: `--b\r\ncontent-disposition: form-data; ${rest}`,
      headers: { 'content-type': 'multipart/form-data; boundary=b' },
    });
    expect([answer.status, answer.json.error.code]).toEqual([400, 'invalid_request']);
    expect(answer.json.error.message).toMatch(/cut short or malformed/);
    expect(await storedFiles()).toBe(before);
  });

  it.each([
    ['no name', '\r\n\r\n{}', /has no name/],
    ['no file name', '; name="file"\r\ncontent-type: application/octet-stream\r\n\r\n{}', /no filename/],
  ])('refuses a form whose part has %s', async (_what, part, message) => {
    const answer = await api.ask('POST', '/v1/files', {
      body: `--b\r\ncontent-disposition: form-data${part}\r\n--b--\r\n`,
      headers: { 'content-type': 'multipart/form-data; boundary=b' },
    });
    expect([answer.status, answer.json.error.message]).toEqual([400, expect.stringMatching(message)]);
  });

  it('answers a form whose parser loses its way behind a damaged head', async () => {
    const body = `--b\r\ncontent-disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n{}\r\n--b\r\ncontent-dispositXon: form-data; name="file"; filename="b"\r\n\r\n${'x'.repeat(120_000)}\r\n--b--\r\n`;
    const answer = await api.ask('POST', '/v1/files', {
      body,
      headers: { 'content-type': 'multipart/form-data; boundary=b' },
    });
    expect(answer.status).toBe(400);
  });

  it('refuses half a surrogate pair and U+0000 in a field and in the name of the file, and names it', async () => {
    const send = (part: string) =>
      api.ask('POST', '/v1/files', {
        body: `--b\r\ncontent-disposition: form-data; ${part}\r\n--b--\r\n`,
        headers: { 'content-type': 'multipart/form-data; boundary=b' },
      });
    const nul = await send('name="purpose"\r\n\r\nfine\0tune');
    expect([nul.status, nul.json.error.param]).toEqual([400, 'purpose']);
    const half = await send(
      'name="purpose"\r\ncontent-type: text/plain; charset=utf-16le\r\n\r\n=\0=\u00d8'.replace('\u00d8', '\u00d8'),
    );
    expect(half.status).toBe(400);
    const name = await send('name="file"; filename="a\0.jsonl"\r\n\r\n{}');
    expect([name.status, name.json.error.param]).toEqual([400, 'file']);
  });

  it('keeps a long name without cutting a character in two', async () => {
    const { status, json } = await upload(
      fileForm(chatRows(1), { purpose: 'fine-tune' }, `${'a'.repeat(254)}😀.jsonl`),
    );
    expect(status).toBe(200);
    expect([json.filename.length, /\p{Surrogate}/u.test(json.filename)]).toEqual([254, false]);
  });

  it('answers 413 to a file beyond the limit, announced or not, and keeps nothing of it', async () => {
    const before = await storedFiles();
    const announced = await upload(fileForm('x'.repeat(2_000_000)));
    expect([announced.status, announced.json.error.code, announced.headers.get('x-should-retry')]).toEqual([
      413,
      'file_too_large',
      'false',
    ]);
    expect(await chunkedUpload(400_000)).toBe(413);
    expect(await storedFiles()).toBe(before);
  });

  it('leaves nothing behind when the client goes away in the middle', async () => {
    const before = await storedFiles();
    await expect(chunkedUpload(100_000, true)).rejects.toThrow();
    await expect.poll(storedFiles).toBe(before);
  });
});

describe('the list of files', () => {
  it('is paged, newest first, with first_id and last_id', async () => {
    const one = await api.ask('GET', '/v1/files?limit=2');
    expect(one.json).toMatchObject({
      object: 'list',
      has_more: true,
      first_id: one.json.data[0]?.id,
      last_id: one.json.data[1]?.id,
    });
    const two = await api.ask('GET', `/v1/files?limit=2&after=${one.json.last_id}`);
    expect(two.json.data.map((file) => file.id)).not.toContain(one.json.last_id);
  });

  it('loses a file that was deleted', async () => {
    const { json } = await upload(fileForm(chatRows(1)));
    expect((await api.ask('DELETE', `/v1/files/${json.id}`)).json).toEqual({
      id: json.id,
      object: 'file',
      deleted: true,
    });
    expect((await api.ask('GET', `/v1/files/${json.id}`)).status).toBe(404);
  });
});

describe('an upload that is sent again', () => {
  const send = (headers: Record<string, string>, text = chatRows(4), name = 'again.jsonl', key = api.key) =>
    api.ask('POST', '/v1/files', { body: fileForm(text, { purpose: 'fine-tune' }, name), headers, key });
  const retry = { 'x-stainless-retry-count': '1' };

  it("makes one file as a client's retry, and another when it is no retry or anything differs", async () => {
    const first = await send({ 'x-stainless-retry-count': '0' });
    const before = await storedFiles();
    expect((await send(retry)).json.id).toBe(first.json.id);
    expect(await storedFiles()).toBe(before);
    const others = [
      await send({}, chatRows(4)),
      await send(retry, chatRows(5)),
      await send(retry, chatRows(4), 'other.jsonl'),
      await send(retry, chatRows(4), 'again.jsonl', await api.foreignKey()),
    ];
    expect(new Set([first, ...others].map(({ json }) => json.id)).size).toBe(5);
  });

  it('is a new file once the first one is deleted', async () => {
    const first = await send({}, chatRows(7));
    await api.ask('DELETE', `/v1/files/${first.json.id}`);
    const again = await send(retry, chatRows(7));
    expect([again.status, again.json.id === first.json.id]).toEqual([200, false]);
  });

  it('makes one file under one Idempotency-Key, and a conflict when it is another file', async () => {
    const key = { 'idempotency-key': 'upload 1' };
    const all = await Promise.all(Array.from({ length: 4 }, () => send(key, chatRows(8))));
    expect(new Set(all.map(({ json }) => json.id)).size).toBe(1);
    const other = await send(key, chatRows(9));
    expect([other.status, other.json.error.param, other.headers.get('x-should-retry')]).toEqual([
      409,
      'Idempotency-Key',
      'false',
    ]);
    await api.ask('DELETE', `/v1/files/${all[0]?.json.id}`);
    expect((await send(key, chatRows(9))).status).toBe(200);
  });

  it.each([
    ['too long', 'k'.repeat(256)],
    ['no ASCII', 'cl\u00e9'],
  ])('is refused where the Idempotency-Key is %s', async (_what, key) => {
    const answer = await send({ 'idempotency-key': key });
    expect([answer.status, answer.json.error.param]).toEqual([400, 'Idempotency-Key']);
  });
});

/** A form that is sent without saying how long it is; `cut` ends the connection before its end. */
function chunkedUpload(sizeBytes: number, cut = false): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(`${api.url}/v1/files`, {
      method: 'POST',
      headers: { authorization: `Bearer ${api.key}`, 'content-type': 'multipart/form-data; boundary=b' },
    });
    request.on('response', (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    request.on('error', reject);
    request.write('--b\r\ncontent-disposition: form-data; name="file"; filename="x.jsonl"\r\n\r\n');
    request.write('x'.repeat(sizeBytes), () => {
      if (cut) request.destroy(new Error('cut'));
      else request.end('\r\n--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n--b--\r\n');
    });
  });
}
