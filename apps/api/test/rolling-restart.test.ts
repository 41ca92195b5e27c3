import { once } from 'node:events';
import { Agent, type ClientRequest, createServer, type IncomingMessage, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { migratedDatabase, type TestDatabase } from '@moraine/testing';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { prepare, submit } from './fixtures.js';
import { type ApiProcess, killApis, makeKey, startApiProcess } from './process.js';
import { asker, chatRows, fileForm } from './support.js';

vi.setConfig({ testTimeout: 120_000 });
let database: TestDatabase;
let key: string;
beforeAll(async () => {
  database = await migratedDatabase();
  key = await makeKey(database);
});
afterAll(async () => {
  killApis();
  await database.close();
});

/**
 * A load balancer as people run them: connections to the replicas are kept, and a replica that refuses a connection is passed over. A request that was
 * sent is never sent again. `cut` counts those that had no whole response.
 */
async function startProxy(upstreams: () => string[]): Promise<{ url: string; cut: () => number; server: Server }> {
  const agent = new Agent({ keepAlive: true });
  let turn = 0;
  let cut = 0;
  const server = createServer((incoming, outgoing) => {
    const send = (left: string[]): void => {
      const [first = '', ...rest] = left;
      const { method, headers } = incoming;
      const onward: ClientRequest = request(first + incoming.url, { method, headers, agent }, (response) => {
        const { connection: _hop, 'keep-alive': _other, ...end } = response.headers;
        outgoing.writeHead(response.statusCode ?? 502, end);
        response.pipe(outgoing);
        response.once('close', () => {
          if (!response.complete) outgoing.destroy(void cut++ as undefined);
        });
      });
      onward.once('error', (error: NodeJS.ErrnoException) => {
        if (error.code === 'ECONNREFUSED' && rest.length > 0) return send(rest);
        cut++;
        outgoing.writeHead(502).end();
      });
      onward.once('socket', (socket) => {
        if (socket.connecting) socket.once('connect', () => incoming.pipe(onward));
        else incoming.pipe(onward);
      });
    };
    const all = upstreams();
    turn = (turn + 1) % all.length;
    send([...all.slice(turn), ...all.slice(0, turn)]);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, cut: () => cut, server };
}

it('two replicas that are restarted one after the other under load answer every request, none is cut', async () => {
  const replicas = [await startApiProcess(database), await startApiProcess(database)];
  const proxy = await startProxy(() => replicas.map(({ url }) => url));
  const ask = asker(proxy.url, key);
  const inputs = await prepare({ ask });
  const statuses = new Map<number, number>();
  const created: string[] = [];
  let isOver = false;
  const load = async (lane: number): Promise<void> => {
    for (let i = 0; !isOver; i++) {
      const response =
        lane === 0
          ? await ask('POST', '/v1/files', { body: fileForm(chatRows(50), { purpose: 'fine-tune' }, `${i}.jsonl`) })
          : lane === 1
            ? await submit({ ask }, inputs).then(({ id }) => ({ status: created.push(id) && 200 }))
            : await ask('GET', lane % 2 === 0 ? '/v1/models' : '/v1/fine_tuning/jobs?limit=5');
      statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
    }
  };
  const lanes = Array.from({ length: 8 }, (_, lane) => load(lane));
  for (const at of [0, 1]) {
    await sleep(300);
    const old = replicas[at];
    const ended = old && once(old.child, 'exit');
    old?.child.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
    replicas[at] = await startApiProcess(database);
  }
  isOver = true;
  await Promise.all(lanes);
  proxy.server.close();
  proxy.server.closeAllConnections();
  expect(proxy.cut()).toBe(0);
  expect([...statuses.keys()]).toEqual([200]);
  expect(statuses.get(200)).toBeGreaterThan(100);
  for (const id of created)
    expect((await asker(replicas[0]?.url ?? '', key)('GET', `/v1/fine_tuning/jobs/${id}`)).status).toBe(200);
});

/** An upload whose second half is held back. */
function holdUpload(api: ApiProcess): { sent: ClientRequest; response: Promise<IncomingMessage>; rest: () => void } {
  const head =
    '--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n--b\r\ncontent-disposition: form-data; name="file"; filename="slow.jsonl"\r\n\r\n';
  const rows = chatRows(40);
  const tail = '\r\n--b--\r\n';
  const sent = request(`${api.url}/v1/files`, {
    method: 'POST',
    agent: new Agent({ keepAlive: true }),
    headers: {
      authorization: `Bearer ${key}`,
      'content-type': 'multipart/form-data; boundary=b',
      'content-length': Buffer.byteLength(head + rows + tail),
    },
  });
  sent.write(head + rows.slice(0, 100));
  const response = once(sent, 'response').then(([got]: IncomingMessage[]) => got as IncomingMessage);
  return { sent, response, rest: () => sent.end(rows.slice(100) + tail) };
}

const textOf = async (response: IncomingMessage): Promise<string> => {
  let text = '';
  for await (const chunk of response) text += String(chunk);
  return text;
};

it('an upload in flight is finished and says that the connection ends, new connections are refused, and the stream says when to connect again', async () => {
  const api = await startApiProcess(database, { MORAINE_DRAIN_DELAY_MS: '0' });
  const ask = asker(api.url, key);
  const run = await submit({ ask }, await prepare({ ask }));
  const opened = request(`${api.url}/v1/runs/${run.id}/stream`, { headers: { authorization: `Bearer ${key}` } }).end();
  const [stream] = (await once(opened, 'response')) as IncomingMessage[];
  const streamed = stream && textOf(stream);
  const upload = holdUpload(api);
  await sleep(200);
  api.child.kill('SIGTERM');
  expect(await streamed).toMatch(/retry: \d{1,4}\n\n$/);
  const refused = () =>
    fetch(`${api.url}/healthz`).then(
      (r) => r.status,
      () => 'refused',
    );
  await expect.poll(refused, { timeout: 5_000 }).toBe('refused');
  await sleep(1_500);
  upload.rest();
  const response = await upload.response;
  expect([response.statusCode, response.headers.connection]).toEqual([200, 'close']);
  expect(JSON.parse(await textOf(response))).toMatchObject({ object: 'file', filename: 'slow.jsonl' });
  expect(await once(api.child, 'exit')).toEqual([0, null]);
});

it('an upload that takes longer than the deadline is refused as worth a retry, and the process ends', async () => {
  const api = await startApiProcess(database, { MORAINE_DRAIN_DELAY_MS: '0', MORAINE_DRAIN_TIMEOUT_MS: '300' });
  const upload = holdUpload(api);
  upload.sent.on('error', () => undefined);
  await sleep(200);
  api.child.kill('SIGTERM');
  const response = await upload.response;
  expect([response.statusCode, response.headers['x-should-retry']]).toEqual([503, 'true']);
  expect(JSON.parse(await textOf(response)).error.code).toBe('unavailable');
  expect(await once(api.child, 'exit')).toEqual([0, null]);
});

it('a process that is about to end says so in /readyz while it still takes connections', async () => {
  const api = await startApiProcess(database, { MORAINE_DRAIN_DELAY_MS: '3000' });
  api.child.kill('SIGTERM');
  const ready = async () => {
    const response = await fetch(`${api.url}/readyz`);
    return [response.status, await response.json(), response.headers.get('connection')];
  };
  await expect.poll(ready).toEqual([503, { status: 'draining' }, 'close']);
  expect((await asker(api.url, key)('GET', '/v1/models')).status).toBe(200);
  api.child.kill('SIGTERM');
  expect(await once(api.child, 'exit')).toEqual([1, null]);
});
