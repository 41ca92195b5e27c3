import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { startWebhookSender } from '@moraine/services';
import { OpenAI } from 'openai';
import { OpenAI as LatestOpenAI } from 'openai-latest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { baseForm, RESULTS, train } from './fixtures.js';
import { chatRows, startApi, type TestApi } from './support.js';

let api: TestApi;
let dir: string;
beforeAll(async () => {
  api = await startApi({ webhookPrivate: true });
  dir = await mkdtemp(join(tmpdir(), 'moraine-client-'));
  await writeFile(join(dir, 'train.jsonl'), chatRows(8));
  expect((await api.ask('POST', '/v1/bases', { body: baseForm('tiny') })).status).toBe(200);
});
afterAll(async () => {
  await api.close();
  await rm(dir, { recursive: true });
});

/** The newest client has the shape of the pinned one in everything used here. */
const clients = { '6.49.0': OpenAI, '7.57.0': LatestOpenAI as unknown as typeof OpenAI };

describe.each(Object.entries(clients))('the stock openai client %s', (_version, Client) => {
  const connect = (apiKey = api.key) => new Client({ baseURL: `${api.url}/v1`, apiKey });
  /** A client, and how many requests it has sent. */
  const connectCounting = () => {
    let sent = 0;
    const counting = new Client({
      baseURL: `${api.url}/v1`,
      apiKey: api.key,
      fetch: (...args: Parameters<typeof fetch>) => {
        sent++;
        return fetch(...args);
      },
    });
    return { counting, sent: () => sent };
  };

  it('goes the whole road: upload, create, poll, events, checkpoints, model', async () => {
    const client = connect();
    const file = await client.files.create({ file: createReadStream(join(dir, 'train.jsonl')), purpose: 'fine-tune' });
    expect((await client.files.waitForProcessing(file.id)).status).toBe('processed');

    const job = await client.fineTuning.jobs.create({
      model: 'tiny',
      training_file: file.id,
      suffix: 'road',
      seed: 7,
      metadata: { team: `road-${_version}` },
      method: { type: 'supervised', supervised: { hyperparameters: { n_epochs: 2, batch_size: 2 } } },
      // @ts-expect-error a key of ours, which the client passes through
      adapter: { type: 'mora', rank: 2 },
    });
    expect(job).toMatchObject({ object: 'fine_tuning.job', status: 'queued', seed: 7, training_file: file.id });
    await train(api.services, job.id);

    const done = await client.fineTuning.jobs.retrieve(job.id);
    expect(done).toMatchObject({ status: 'succeeded', trained_tokens: 1234, error: null });
    expect(done.fine_tuned_model).toMatch(/^ft:tiny:default:road:/);

    expect(done.result_files.length).toBe(1);
    expect(await (await client.files.content(done.result_files[0] ?? '')).text()).toBe(RESULTS);

    const events = [];
    for await (const event of client.fineTuning.jobs.listEvents(job.id, { limit: 2 })) events.push(event.message);
    expect(events.at(-1)).toMatch(/^Created fine-tuning job/);
    expect(events[0]).toContain(done.fine_tuned_model);
    expect(new Set(events).size).toBe(events.length);

    const checkpoints = [];
    for await (const one of client.fineTuning.jobs.checkpoints.list(job.id, { limit: 1 })) checkpoints.push(one);
    expect(checkpoints.map((one) => one.step_number)).toEqual([10, 5]);
    for (const id of [done.fine_tuned_model, checkpoints[0]?.fine_tuned_model_checkpoint])
      expect(await client.models.retrieve(id ?? '')).toMatchObject({ id, object: 'model' });
    const models = [];
    for await (const model of client.models.list()) models.push(model.id);
    expect(models).toEqual(expect.arrayContaining(['tiny', done.fine_tuned_model]));

    const found = await client.fineTuning.jobs.list({ metadata: { team: `road-${_version}` } });
    expect(found.data.map((one) => one.id)).toEqual([job.id]);
    expect((await client.fineTuning.jobs.list({ metadata: { team: 'nobody' } })).data).toEqual([]);
    const without = await client.fineTuning.jobs.list({ metadata: null, limit: 100 });
    expect(without.data.map((one) => one.id)).not.toContain(job.id);
  });

  it('pages through lists without a repeat or a gap', async () => {
    const client = connect();
    const made = [];
    for (let i = 0; i < 5; i++)
      made.push((await client.files.create({ file: createReadStream(join(dir, 'train.jsonl')), purpose: 'evals' })).id);
    const seen = [];
    for await (const file of client.files.list({ limit: 2, purpose: 'evals', order: 'desc' })) seen.push(file.id);
    expect(seen.slice(0, 5)).toEqual(made.reverse());
    expect(new Set(seen).size).toBe(seen.length);
    for (const id of made) expect((await client.files.delete(id)).deleted).toBe(true);
  });

  it('makes one file and one run when an answer is lost and the client sends the same again', async () => {
    const counts: (string | null)[] = [];
    const losing = new Client({
      baseURL: `${api.url}/v1`,
      apiKey: api.key,
      fetch: async (url: string | URL | Request, init?: RequestInit) => {
        const response = await fetch(url, init);
        if (init?.method?.toUpperCase() !== 'POST') return response;
        counts.push(new Headers(init.headers).get('x-stainless-retry-count'));
        if (counts.length % 2 === 0) return response;
        throw new TypeError('the answer was lost');
      },
    });
    const rows = `${chatRows(6)}\n`;
    const upload = () =>
      losing.files.create({ file: new File([rows], `lost-${_version}.jsonl`), purpose: 'fine-tune' });
    const file = await upload();
    const job = await losing.fineTuning.jobs.create({
      model: 'tiny',
      training_file: file.id,
      suffix: `lost ${_version}`,
    });
    expect(counts).toEqual(['0', '1', '0', '1']);
    const named = (await connect().files.list()).data.filter(({ filename }) => filename === `lost-${_version}.jsonl`);
    expect(named.map(({ id }) => id)).toEqual([file.id]);
    const jobs = (await connect().fineTuning.jobs.list({ limit: 100 })).data.filter(
      (one) => one.training_file === file.id,
    );
    expect(jobs.map(({ id }) => id)).toEqual([job.id]);
    await connect().fineTuning.jobs.cancel(job.id);
  });

  it('uploads a file in parts that come in any order, and completes it twice', async () => {
    const client = connect();
    const rows = chatRows(9);
    const upload = await client.uploads.create({
      filename: 'parts.jsonl',
      purpose: 'fine-tune',
      bytes: rows.length,
      mime_type: 'text/jsonl',
      expires_after: { anchor: 'created_at', seconds: 3600 },
    });
    expect(upload).toMatchObject({ object: 'upload', status: 'pending', bytes: rows.length });
    const send = (text: string) => client.uploads.parts.create(upload.id, { data: new File([text], 'part') });
    const [second, first] = [await send(rows.slice(200)), await send(rows.slice(0, 200))];
    expect(first).toMatchObject({ object: 'upload.part', upload_id: upload.id });
    const md5 = createHash('md5').update(rows).digest('hex');
    const wrong = { part_ids: [second.id, first.id], md5 };
    await expect(client.uploads.complete(upload.id, wrong)).rejects.toMatchObject({ status: 400, param: 'md5' });
    for (const _ of [1, 2]) {
      const done = await client.uploads.complete(upload.id, { part_ids: [first.id, second.id], md5 });
      expect(done).toMatchObject({ status: 'completed', file: { object: 'file', status: 'processed' } });
      expect(await (await client.files.content(done.file?.id ?? '')).text()).toBe(rows);
    }
    const other = await client.uploads.create({
      filename: 'no.jsonl',
      purpose: 'fine-tune',
      bytes: 5,
      mime_type: 'text/jsonl',
    });
    expect((await client.uploads.cancel(other.id)).status).toBe('cancelled');
    const late = client.uploads.parts.create(other.id, { data: new File(['x'], 'part') });
    await expect(late).rejects.toMatchObject({ status: 409, code: 'conflict' });
  });

  it('reads and deletes files', async () => {
    const client = connect();
    const file = await client.files.create({ file: new File([chatRows(2)], 'two.jsonl'), purpose: 'fine-tune' });
    expect(await (await client.files.content(file.id)).text()).toBe(chatRows(2));
    await client.files.delete(file.id);
    await expect(client.files.retrieve(file.id)).rejects.toMatchObject({ status: 404, code: 'not_found' });
  });

  it('cancels a run, and learns once that a cancelled one cannot be cancelled again', async () => {
    const client = connect();
    const file = await client.files.create({ file: new File([chatRows(4)], 'four.jsonl'), purpose: 'fine-tune' });
    const job = await client.fineTuning.jobs.create({ model: 'tiny', training_file: file.id });
    expect((await client.fineTuning.jobs.cancel(job.id)).status).toBe('cancelled');
    const { counting, sent } = connectCounting();
    await expect(counting.fineTuning.jobs.cancel(job.id)).rejects.toMatchObject({ status: 409, code: 'conflict' });
    expect(sent()).toBe(1);
  });

  it('pauses and resumes a run, twice each, and learns once that a cancelled one can be neither', async () => {
    const client = connect();
    const file = await client.files.create({ file: new File([chatRows(4)], 'five.jsonl'), purpose: 'fine-tune' });
    const job = await client.fineTuning.jobs.create({ model: 'tiny', training_file: file.id });
    for (const _ of [1, 2]) expect((await client.fineTuning.jobs.pause(job.id)).status).toBe('paused');
    for (const _ of [1, 2]) expect((await client.fineTuning.jobs.resume(job.id)).status).toBe('queued');
    await client.fineTuning.jobs.cancel(job.id);
    const { counting, sent } = connectCounting();
    for (const verb of ['pause', 'resume'] as const)
      await expect(counting.fineTuning.jobs[verb](job.id)).rejects.toMatchObject({ status: 409, code: 'conflict' });
    expect(sent()).toBe(2);
  });

  it('is told in words what there is not: other methods, integrations, graders, permissions of checkpoints', async () => {
    const client = connect();
    const common = { model: 'tiny', training_file: 'file-x' };
    const dpo = client.fineTuning.jobs.create({ ...common, method: { type: 'dpo' } });
    await expect(dpo).rejects.toMatchObject({ status: 400, code: 'unsupported_method', param: 'method.type' });
    const wandb = { type: 'wandb', wandb: { project: 'p' } } as const;
    const integrated = client.fineTuning.jobs.create({ ...common, integrations: [wandb] });
    await expect(integrated).rejects.toMatchObject({ status: 400, code: 'unsupported_integration' });
    const grader = { type: 'string_check', name: 'n', input: 'a', reference: 'a', operation: 'eq' } as const;
    await expect(client.fineTuning.alpha.graders.validate({ grader })).rejects.toMatchObject({
      status: 404,
      message: expect.stringContaining('reinforcement fine-tuning'),
    });
    const admin = new Client({ baseURL: `${api.url}/v1`, apiKey: api.key, adminAPIKey: api.key });
    const permissions = admin.fineTuning.checkpoints.permissions.create('ft:tiny:a::b:ckpt-step-5', {
      project_ids: ['proj_a'],
    });
    await expect(permissions).rejects.toMatchObject({ status: 404, message: expect.stringContaining('permissions') });
  });

  it('unwraps what a webhook posts, also after its secret was turned, and refuses what was changed on the way', async () => {
    const client = connect();
    const received: { body: string; headers: Record<string, string> }[] = [];
    const receiver = createServer((request, response) => {
      text(request)
        .then((body) => received.push({ body, headers: request.headers as Record<string, string> }))
        .finally(() => response.end())
        .catch(() => undefined);
    }).listen(0, '127.0.0.1');
    await once(receiver, 'listening');
    const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`;
    const hook = (await client.post('/webhooks', { body: { url } })) as { id: string; secret: string };
    const turned = (await client.post(`/webhooks/${hook.id}/rotate`)) as { secret: string };
    const file = await client.files.create({ file: new File([chatRows(3)], 'hook.jsonl'), purpose: 'fine-tune' });
    const job = await client.fineTuning.jobs.create({ model: 'tiny', training_file: file.id });
    await client.fineTuning.jobs.cancel(job.id);
    const sender = startWebhookSender(api.services, { allowsPrivate: true, intervalMs: 20 });
    try {
      for (let tries = 0; tries < 500 && received.length === 0; tries++) await sleep(10);
    } finally {
      await sender.close();
      receiver.close();
      await client.delete(`/webhooks/${hook.id}`);
    }
    const [{ body, headers } = { body: '', headers: {} }] = received;
    for (const { secret } of [hook, turned]) {
      const event = await client.webhooks.unwrap(body, headers, secret);
      expect(event).toMatchObject({ object: 'event', type: 'fine_tuning.job.cancelled', data: { id: job.id } });
    }
    const changed = client.webhooks.unwrap(body.replace('cancelled', 'succeeded'), headers, turned.secret);
    await expect(changed).rejects.toThrow(/signature/i);
  });

  it('gets its own error types, with code, param and request id', async () => {
    const client = connect();
    await expect(client.models.retrieve('nothing')).rejects.toBeInstanceOf(Client.NotFoundError);
    await expect(connect('mk-wrong').models.list()).rejects.toBeInstanceOf(Client.AuthenticationError);
    const hyperparameters = { n_epochs: 0 };
    const wrong = client.fineTuning.jobs.create({
      model: 'tiny',
      training_file: 'file-x',
      method: { type: 'supervised', supervised: { hyperparameters } },
    });
    await expect(wrong).rejects.toMatchObject({
      status: 400,
      param: 'method.supervised.hyperparameters.n_epochs',
      requestID: expect.stringMatching(/^req_/),
    });
  });
});
