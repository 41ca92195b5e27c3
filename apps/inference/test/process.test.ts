import { cp, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { answerPrompts } from '@moraine/recipes';
import { createBaseFromDir, ensureDefaultProject, type Services } from '@moraine/services';
import { testServices } from '@moraine/testing';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readEnv } from '../src/env.js';
import { openRegistration } from '../src/registration.js';
import { type InferenceProcess, startProcess } from '../src/start-process.js';
import { BASE, writeLora } from './random-adapter.js';

// One process over the shipped base, with a real Postgres, until it ends by being idle.
const t = await testServices();
const s: Services = t.services;
let settings: Parameters<typeof startProcess>[1];
let running: InferenceProcess;
let base: { sha256: string; blobPrefix: string };

beforeAll(async () => {
  const { id: projectId } = await ensureDefaultProject(s);
  await createBaseFromDir(s, { projectId, keyId: null }, { name: 'tiny', dir: BASE });
  base = await s.db.base.findFirstOrThrow({ select: { sha256: true, blobPrefix: true } });
  const workDir = await mkdtemp(join(tmpdir(), 'moraine-inference-'));
  settings = {
    ...{ base: base.sha256, workDir, host: '127.0.0.1', port: 0, announcedHost: '127.0.0.1' },
    ...{
      rows: 2,
      contextMax: 128,
      memoryBytes: undefined,
      idleMs: null,
      version: '0',
      heartbeatMs: 50,
      drainMs: 5_000,
    },
  };
  running = await startProcess(s, settings, pino({ level: 'silent' }));
});
afterAll(async () => {
  await running.drain();
  await t.close();
});

const row = async () => {
  const { rows } = await s.pg.query('SELECT * FROM inference_processes ORDER BY started_at LIMIT 1');
  return rows[0];
};

interface Ask {
  sha256?: string;
  secret?: string;
  pinned?: boolean;
  more?: object;
  tenant?: string;
  tuned?: { blobPrefix: string; sha256: string } | null;
}

async function ask({ sha256 = base.sha256, secret, pinned = true, more = {}, tenant = 'p', tuned = null }: Ask = {}) {
  const model = { tenant, base: { name: 'tiny', blobPrefix: base.blobPrefix, sha256 }, tuned };
  const key = secret ?? (await row()).secret;
  const response = await fetch(`${running.address}/v1/chat/completions`, {
    method: 'POST',
    headers: {
      ...{ authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      ...(pinned && { 'x-moraine-model': Buffer.from(JSON.stringify(model)).toString('base64url') }),
    },
    body: JSON.stringify({ model: 'whatever', messages: [{ role: 'user', content: 'Hi' }], temperature: 0, ...more }),
  });
  return { status: response.status, json: await response.json() };
}

test('it says where it is and what it has, and answers for that base under whatever name the request has', async () => {
  expect(await row()).toMatchObject({
    ...{ base_sha256: base.sha256, status: 'ready', address: running.address, rows: 2, answering: 0 },
    device: { kind: 'cpu' },
  });
  const { answers } = await answerPrompts({
    ...{ baseDir: BASE, adapterDir: null, lambda: 1, prompts: ['Hi'], mode: 'plain', maxNewTokens: 8 },
    ...{ temperature: 0, topP: 1, topK: 0, seed: 0, stop: [], isRaw: false },
  });
  const { status, json } = await ask({ more: { max_tokens: 8 } });
  expect([status, json.model, json.choices[0].message.content]).toEqual([200, 'whatever', answers[0]?.text]);
});

test('what a base cannot do is told by the name that its caller knows', async () => {
  const tools = [{ type: 'function', function: { name: 'a' } }];
  const { status, json } = await ask({ more: { tools } });
  expect([status, json.error.message]).toEqual([400, expect.stringContaining("The chat template of 'tiny' writes")]);
});

async function store(letter: string, dir: string) {
  const blobPrefix = `adapters/${letter}`;
  await cp(dir, join(t.blobsDir, blobPrefix), { recursive: true });
  return { blobPrefix, sha256: letter.repeat(64) };
}

/** A stored adapter, and what it answers with nothing beside it. */
async function storeAdapter(letter: string, dir: string) {
  const tuned = await store(letter, dir);
  const { answers } = await answerPrompts({
    ...{ baseDir: BASE, adapterDir: dir, lambda: 1, prompts: ['Hi'], mode: 'plain', maxNewTokens: 8 },
    ...{ temperature: 0, topP: 1, topK: 0, seed: 0, stop: [], isRaw: false },
  });
  return { tuned, alone: answers[0]?.text };
}

test('of many requests under one name each is answered by the content that its caller meant, of two tenants too', async () => {
  const adapters = await Promise.all(
    [1, 2, 3].map((seed) => storeAdapter('abc'[seed - 1] ?? '', writeLora(seed, { isDora: seed === 3 }))),
  );
  expect(new Set(adapters.map(({ alone }) => alone)).size).toBe(3);
  const asked = Array.from({ length: 60 }, (_, i) => adapters[(i * 7) % 3]);
  const answers = await Promise.all(
    asked.map((one, i) => ask({ tuned: one?.tuned ?? null, tenant: `tenant ${i % 2}`, more: { max_tokens: 8 } })),
  );
  expect(answers.map(({ json }) => json.choices[0].message.content)).toEqual(asked.map((one) => one?.alone));
  while ((await row()).adapters.length < 3) await new Promise((resolve) => setTimeout(resolve, 10));
  expect((await row()).adapters).toContainEqual(
    expect.objectContaining({ sha256: 'c'.repeat(64), kind: 'merged', pinnedBy: [] }),
  );
});

async function change(act: 'pin' | 'unpin' | 'unload', tuned: Ask['tuned'], tenant = 'p') {
  const model = { tenant, base: { name: 'tiny', blobPrefix: base.blobPrefix, sha256: base.sha256 }, tuned };
  const headers = {
    ...{ authorization: `Bearer ${(await row()).secret}`, 'content-type': 'application/json' },
    'x-moraine-model': Buffer.from(JSON.stringify(model)).toString('base64url'),
  };
  return (await fetch(`${running.address}/adapters/${act}`, { method: 'POST', headers, body: '{}' })).status;
}

/** What the row says of an adapter, at once after it was changed. */
const said = async (sha256: string) =>
  (await row()).adapters.find((one: { sha256: string }) => one.sha256 === sha256) ?? null;

test('one that was unloaded is brought anew by the next request, and what another tenant has pinned stays', async () => {
  const dir = writeLora(6);
  // The same weights in two folders: one model for the engine.
  const [tuned, twin] = [await store('f', dir), await store('9', dir)];
  const textOf = async (one: Ask['tuned']) => {
    const { status, json } = await ask({ tuned: one, more: { max_tokens: 8 } });
    return [status, json.choices?.[0].message.content];
  };
  expect(await change('pin', tuned)).toBe(200);
  expect(await said(tuned.sha256)).toMatchObject({ kind: 'host', pinnedBy: ['p'] });
  const before = await textOf(tuned);
  expect(before[0]).toBe(200);
  expect(await change('pin', twin, 'q')).toBe(200);
  await change('unload', tuned);
  expect(await said(tuned.sha256)).toMatchObject({ pinnedBy: [] });
  expect(await said(twin.sha256)).toMatchObject({ pinnedBy: ['q'] });
  await change('unload', twin, 'q');
  expect([await said(tuned.sha256), await said(twin.sha256)]).toEqual([null, null]);
  for (const one of [tuned, twin]) expect(await textOf(one)).toEqual(before);
  expect(await change('pin', null)).toBe(400);
});

test('an adapter that is damaged or gone is refused alone, and the base does not answer for it', async () => {
  const dir = writeLora(4);
  await writeFile(join(dir, 'adapter_model.safetensors'), 'no tensors');
  await cp(dir, join(t.blobsDir, 'adapters/d'), { recursive: true });
  const tuned = (letter: string) => ({ blobPrefix: `adapters/${letter}`, sha256: letter.repeat(64) });
  const [damaged, gone, fine] = await Promise.all([
    ask({ tuned: tuned('d'), more: { max_tokens: 8 } }),
    ask({ tuned: tuned('e'), more: { max_tokens: 8 } }),
    ask({ more: { max_tokens: 8 } }),
  ]);
  expect([damaged.status >= 400, gone.json.error.code, fine.status]).toEqual([true, 'storage', 200]);
});

test('only the cluster may ask, by the secret of this process, and only for its base', async () => {
  expect((await ask({ secret: 'guessed' })).status).toBe(401);
  expect((await ask({ pinned: false })).json.error.code).toBe('invalid_request');
  expect((await ask({ sha256: 'a'.repeat(64) })).status).toBe(503);
});

test('one that was given up for lost registers again with its next sign of life', async () => {
  await s.pg.query(`UPDATE inference_processes SET status = 'gone', lease_until = now()`);
  const ready = `SELECT 1 FROM inference_processes WHERE status = 'ready' AND lease_until > now()`;
  while ((await s.pg.query(ready)).rowCount === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  await s.pg.query(`DELETE FROM inference_processes WHERE status = 'gone'`);
  expect((await ask({ more: { max_tokens: 1 } })).status).toBe(200);
});

test('a base that needs more memory than may be used is not opened, and the row says why', async () => {
  const small = startProcess(s, { ...settings, memoryBytes: 1_000 }, pino({ level: 'silent' }));
  await expect(small).rejects.toMatchObject({ code: 'out_of_memory' });
  const { rows } = await s.pg.query(`SELECT status_reason, secret FROM inference_processes WHERE status = 'failed'`);
  expect(rows).toEqual([{ status_reason: expect.stringContaining('this process may use 1000'), secret: '' }]);
});

test('without requests it ends by itself, after what it answers, and its row says so', async () => {
  const long = ask({ more: { max_tokens: 100 } });
  let isDone = false;
  void long.finally(() => {
    isDone = true;
  });
  while ((await row()).answering === 0 && !isDone) await new Promise((resolve) => setTimeout(resolve, 5));
  settings.idleMs = 1;
  await running.ended;
  expect((await long).status).toBe(200);
  expect(await row()).toMatchObject({ status: 'gone', secret: '' });
  await expect(fetch(running.address)).rejects.toThrow();
});

test('one that has ended is not registered again by what it had still to say', async () => {
  const facts = { baseSha256: base.sha256, secret: 's', host: 'h', pid: 1, version: '0', rows: 1 };
  const registration = await openRegistration(s, facts, 10, pino({ level: 'silent' }));
  await registration.end(null);
  await registration.tell();
  const { rows } = await s.pg.query(`SELECT status FROM inference_processes WHERE host = 'h'`);
  expect(rows).toEqual([{ status: 'gone' }]);
  await s.pg.query(`DELETE FROM inference_processes WHERE host = 'h'`);
});

test('asked to end, it takes nothing new, and first ends what it answers', async () => {
  await s.pg.query('DELETE FROM inference_processes');
  running = await startProcess(s, { ...settings, idleMs: null, drainMs: 15_000 }, pino({ level: 'silent' }));
  const { secret } = await row();
  const end = running.drain();
  let isRefusing = false;
  let endedLater = 0;
  let waiting = 0;
  // Two are always asked, so that something is under way when the first is refused.
  const asked: ReturnType<typeof ask>[] = [];
  const askOne = async () => {
    waiting += 1;
    const answer = await ask({ secret, more: { max_tokens: 60, n: 2 } }).finally(() => {
      waiting -= 1;
    });
    if (answer.status === 503) isRefusing = true;
    else if (isRefusing) endedLater += 1;
    return answer;
  };
  while (!isRefusing) {
    if (waiting < 3) asked.push(askOne());
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  expect((await row()).status).toBe('draining');
  for (const { status, json } of await Promise.all(asked))
    expect([status, json.choices?.length]).toEqual(status === 503 ? [503, undefined] : [200, 2]);
  expect(endedLater).toBeGreaterThan(0);
  await end;
  expect(await row()).toMatchObject({ status: 'gone', secret: '' });
}, 20_000);

test('a setting that is missing or wrong is named', () => {
  const given = {
    DATABASE_URL: 'x',
    REDIS_URL: 'x',
    MORAINE_BLOBS: 'x',
    MORAINE_WORK_DIR: 'x',
    MORAINE_SERVE_BASE: 'x',
  };
  expect(() => readEnv({ ...given, MORAINE_SERVE_BASE: '' })).toThrow('MORAINE_SERVE_BASE');
  expect(() => readEnv({ ...given, MORAINE_SERVE_ROWS: '0' })).toThrow('MORAINE_SERVE_ROWS');
  expect(() => readEnv({ ...given, REDIS_URL: 'redis://:pass/word@redis:6379/0' })).toThrow('REDIS_URL');
  expect(readEnv({ ...given, MORAINE_SERVE_HOST: '10.0.0.5' })).toMatchObject({
    announcedHost: '10.0.0.5',
    idleMs: null,
  });
});
