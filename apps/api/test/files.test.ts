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
