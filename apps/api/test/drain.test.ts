import { request as send } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { startApi, type TestApi } from './support.js';

// The end of a process, here in one with the test; rolling-restart.test.ts does it to built processes under load.
let api: TestApi;
afterEach(() => api.close());

interface Answer {
  status: number | undefined;
  connection: string | undefined;
  retryAfter: string | undefined;
}

const ROW = '{"prompt":"a","completion":"b"}\n';
const BEGIN = '--x\r\ncontent-disposition: form-data; name="data"; filename="part"\r\n\r\n';

/** A part of an upload whose first half is sent and on the server; `finish` sends the rest. */
async function beginUpload(): Promise<{ answer: Promise<Answer>; finish(): void }> {
  const body = { filename: 'rows.jsonl', purpose: 'fine-tune', bytes: 2 * ROW.length, mime_type: 'text/jsonl' };
  const { json } = await api.ask('POST', '/v1/uploads', { body });
  const headers = { authorization: `Bearer ${api.key}`, 'content-type': 'multipart/form-data; boundary=x' };
  const request = send(`${api.url}/v1/uploads/${json.id}/parts`, { method: 'POST', headers });
  const answer = new Promise<Answer>((resolve, reject) => {
    request.on('error', reject);
    request.on('response', (response) => {
      const { connection, 'retry-after': retryAfter } = response.headers;
      resolve({ status: response.statusCode, connection, retryAfter });
      response.resume();
    });
  });
  const arrived = new Promise((resolve) => api.app.server.once('request', resolve));
  request.write(BEGIN + ROW);
  await arrived;
  return { answer, finish: () => void request.end(`${ROW}\r\n--x--\r\n`) };
}

describe('a server that is asked to end', () => {
  it('finishes the request in flight, says that its connection ends, and takes no new ones', async () => {
    api = await startApi();
    const { answer, finish } = await beginUpload();
    const drained = api.app.drain({ delayMs: 0, timeoutMs: 30_000 });
    const isOpen = () =>
      fetch(`${api.url}/healthz`, { headers: { connection: 'close' } }).then(
        () => true,
        () => false,
      );
    await expect.poll(isOpen, { timeout: 10_000 }).toBe(false);
    finish();
    expect(await answer).toMatchObject({ status: 200, connection: 'close' });
    // Long before the deadline.
    expect(await Promise.race([drained.then(() => 'drained'), sleep(20_000, 'not drained')])).toBe('drained');
  });

  it('refuses at its deadline what has not come whole, as worth a retry', async () => {
    api = await startApi();
    const { answer } = await beginUpload();
    await api.app.drain({ delayMs: 0, timeoutMs: 300 });
    expect(await Promise.race([answer, sleep(10_000, null)])).toEqual({
      status: 503,
      connection: 'close',
      retryAfter: '1',
    });
  });

  it('tells its streams before it closes its door, and says so where it is asked whether it is ready', async () => {
    api = await startApi();
    const draining = api.app.drain({ delayMs: 300, timeoutMs: 1_000 });
    expect(api.app.draining.aborted).toBe(true);
    expect((await api.ask('GET', '/readyz', { key: null })).status).toBe(503);
    await draining;
  });
});
