import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { baseForm, RESULTS, train } from '../fixtures.js';
import { chatRows, startApi, type TestApi } from '../support.js';
import { installClient, python } from './python-client.js';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

let api: TestApi;
let dir: string;
let packages: string;
beforeAll(async () => {
  packages = await installClient();
  api = await startApi({ webhookPrivate: true });
  dir = await mkdtemp(join(tmpdir(), 'moraine-python-'));
  await writeFile(join(dir, 'train.jsonl'), chatRows(8));
  await api.ask('POST', '/v1/bases', { body: baseForm('tiny') });
}, 300_000);
afterAll(async () => {
  await api.close();
  await rm(dir, { recursive: true });
});

/** What a webhook of the API posts to a server of this test, and its secret. */
async function webhookOf({ ask }: Pick<TestApi, 'ask'>) {
  const received: { body: string; headers: IncomingHttpHeaders }[] = [];
  const server = createServer((request, response) => {
    text(request)
      .then((body) => received.push({ body, headers: request.headers }))
      .finally(() => response.end())
      .catch(() => undefined);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { json } = await ask('POST', '/v1/webhooks', { body: { url } });
  await ask('POST', `/v1/webhooks/${json.id}/test`);
  server.close();
  return { id: json.id, secret: json.secret, ...received[0] };
}

it('the stock Python client goes the whole road', async () => {
  let trained: Promise<void> | null = null;
  const hook = await webhookOf(api);
  const env = {
    WEBHOOK: JSON.stringify(hook),
    PYTHONPATH: packages,
    OPENAI_BASE_URL: `${api.url}/v1`,
    OPENAI_API_KEY: api.key,
  };
  const last = await python([here('client.py'), join(dir, 'train.jsonl')], env, (line) => {
    const id = /^JOB (\S+)/.exec(line)?.[1];
    if (id) trained = train(api.services, id);
  });
  await trained;
  expect(JSON.parse(last)).toEqual({
    file: 'processed',
    chunked: ['completed', 'processed', true],
    run: 'succeeded',
    adapter: 'mora',
    events: [
      expect.stringMatching(/^The run succeeded; new model ft:tiny:/),
      expect.stringMatching(/^Created fine-tuning job/),
      true,
    ],
    checkpoints: [10, 5],
    model: true,
    listed: true,
    without: [],
    webhook: ['webhook.test', hook.id, 'refused'],
    missing: ['unsupported_method', 'route_not_found'],
    results: RESULTS.split('\n')[0],
    paused: ['paused', 'queued'],
    cancelled: 'cancelled',
    again: 'conflict',
    unknown: ['unknown_key', 'adaptor', true],
    content: chatRows(8),
    deleted: true,
  });
});
