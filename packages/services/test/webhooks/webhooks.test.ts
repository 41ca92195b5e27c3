import { createHmac } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { testServices } from '@moraine/testing';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import {
  type Actor,
  cancelRun,
  createWebhook,
  deleteWebhook,
  getWebhook,
  listDeliveries,
  listWebhooks,
  pauseRun,
  replayDelivery,
  resumeRun,
  rotateWebhook,
  type SenderOptions,
  type Services,
  startWebhookSender,
  testWebhook,
  updateWebhook,
} from '../../src/index.js';
import { ATTEMPTS_MAX, webhookPauseMs } from '../../src/webhooks/send-webhooks.js';
import { isPublicAddress } from '../../src/webhooks/webhook-address.js';
import { moveTask } from '../../src/work/move-task.js';
import { type Seeded, seedProject, seedRun } from '../seed-run.js';
import { type Receiver, startReceiver } from './receiver.js';

const t = await testServices();
const s: Services = t.services;
const LOCAL = { allowsPrivate: true };
let seeded: Seeded;
let actor: Actor;
let receiver: Receiver;
beforeAll(async () => {
  receiver = await startReceiver();
});
afterAll(async () => {
  await receiver.close();
  await t.close();
});
/** Each test has a project of its own. */
async function fresh(): Promise<void> {
  seeded = await seedProject(s);
  actor = { projectId: seeded.projectId, keyId: null };
}
afterEach(async () => {
  receiver.received.length = 0;
  receiver.statuses.length = 0;
  await s.db.webhook.deleteMany();
});

async function until(what: string, isTrue: () => Promise<boolean> | boolean): Promise<void> {
  for (let tries = 0; tries < 1_000; tries++) {
    if (await isTrue()) return;
    await sleep(10);
  }
  throw new Error(`not in time: ${what}`);
}

async function sending(work: () => Promise<void>, options: SenderOptions = {}): Promise<void> {
  const sender = startWebhookSender(s, { ...LOCAL, intervalMs: 20, pauseMs: () => 0, ...options });
  try {
    await work();
  } finally {
    await sender.close();
  }
}

const hook = (request: Partial<Parameters<typeof createWebhook>[2]> = {}) =>
  createWebhook(s, actor, { url: `${receiver.url}/hook`, ...request }, LOCAL);
const deliveriesOf = async (id: string) => (await listDeliveries(s, actor, id, { limit: 100 })).data;
const signatureOf = (secret: string, { headers, body }: Receiver['received'][number]): string =>
  `v1,${createHmac('sha256', Buffer.from(secret.replace('whsec_', ''), 'base64'))
    .update(`${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`)
    .digest('base64')}`;

describe('what becomes of a run', () => {
  test('is posted to each webhook that asked for it, as one event with one id, signed with its own secret', async () => {
    await fresh();
    const all = await hook();
    const ended = await hook({ url: `${receiver.url}/ended`, events: ['fine_tuning.job.succeeded'] });
    const id = await seedRun(s, seeded);
    await pauseRun(s, actor, id);
    await resumeRun(s, actor, id);
    await s.db.task.update({ where: { id }, data: { status: 'running' } });
    await moveTask(s.pg, id, 'succeeded');
    await sending(() => until('four posts', () => receiver.received.length === 4));
    const toAll = receiver.received.filter(({ path }) => path === '/hook');
    expect(toAll.map(({ body }) => JSON.parse(body))).toEqual(
      ['paused', 'resumed', 'succeeded'].map((word) => ({
        id: expect.stringMatching(/^evt_/),
        object: 'event',
        type: `fine_tuning.job.${word}`,
        created_at: expect.any(Number),
        data: { id },
      })),
    );
    const toEnded = receiver.received.find(({ path }) => path === '/ended');
    expect(toEnded?.headers['webhook-id']).toBe(toAll[2]?.headers['webhook-id']);
    expect(toEnded?.headers['webhook-id']).toBe(JSON.parse(toEnded?.body ?? '{}').id);
    for (const one of receiver.received) {
      const { secret = '' } = one.path === '/hook' ? all : ended;
      expect(one.headers['webhook-signature']).toBe(signatureOf(secret, one));
      expect(Math.abs(Number(one.headers['webhook-timestamp']) - Date.now() / 1_000)).toBeLessThan(60);
    }
    expect((await deliveriesOf(all.id)).map(({ type, status, attempts }) => [type, status, attempts])).toEqual(
      ['succeeded', 'resumed', 'paused'].map((word) => [`fine_tuning.job.${word}`, 'delivered', 1]),
    );
  });

  test('is in the outbox if and only if the change of status is stored', async () => {
    await fresh();
    const { id: webhook } = await hook();
    const id = await seedRun(s, seeded);
    const client = await s.pg.connect();
    await client.query('BEGIN');
    await moveTask(client, id, 'cancelled');
    await client.query('ROLLBACK');
    client.release();
    expect(await deliveriesOf(webhook)).toEqual([]);
    await Promise.allSettled(Array.from({ length: 8 }, () => cancelRun(s, actor, id)));
    expect((await deliveriesOf(webhook)).map(({ type }) => type)).toEqual(['fine_tuning.job.cancelled']);
    const failing = await seedRun(s, seeded);
    await moveTask(s.pg, failing, 'failed', { error_code: 'x', error_message: 'y' });
    expect((await deliveriesOf(webhook)).map(({ payload }) => payload)[0]).toMatchObject({
      type: 'fine_tuning.job.failed',
      data: { id: failing },
    });
  });

  test('is not told to a disabled webhook, to one of another project, nor of a task that is no run', async () => {
    await fresh();
    const theirs = await hook();
    const theirActor = actor;
    await fresh();
    const off = await hook();
    await updateWebhook(s, actor, off.id, { enabled: false }, LOCAL);
    const on = await hook();
    const id = await seedRun(s, seeded);
    await s.db.task.update({ where: { id }, data: { kind: 'verify' } });
    await moveTask(s.pg, id, 'cancelled');
    expect(await deliveriesOf(on.id)).toEqual([]);
    await cancelRun(s, actor, await seedRun(s, seeded));
    expect((await deliveriesOf(on.id)).length).toBe(1);
    expect(await deliveriesOf(off.id)).toEqual([]);
    expect((await listDeliveries(s, theirActor, theirs.id, { limit: 1 })).data).toEqual([]);
  });
});

describe('a delivery', () => {
  test('that is refused is sent again under its id until it is taken, and the log has every attempt', async () => {
    await fresh();
    const { id } = await hook();
    receiver.statuses.push(500, 302, 0);
    await cancelRun(s, actor, await seedRun(s, seeded));
    const isDone = async () => (await deliveriesOf(id))[0]?.status === 'delivered';
    await sending(() => until('delivered', isDone), { timeoutMs: 2_000 });
    const [delivery] = await deliveriesOf(id);
    expect(delivery?.log.map(({ status_code, error }) => [status_code, error])).toEqual([
      [500, 'It answered 500.'],
      [302, expect.stringContaining('redirects are not followed')],
      [null, 'No answer within 2000 ms.'],
      [200, null],
    ]);
    expect(new Set(receiver.received.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
    expect(receiver.received.map(({ path }) => path)).toEqual(Array(4).fill('/hook'));
  });

  test('is given up after its attempts, at once on 410, which disables the webhook, and replayed when asked for', async () => {
    await fresh();
    const { id } = await hook();
    receiver.statuses.push(...Array(ATTEMPTS_MAX).fill(503));
    await cancelRun(s, actor, await seedRun(s, seeded));
    await sending(async () => {
      await until('failed', async () => (await deliveriesOf(id))[0]?.status === 'failed');
      const [failed] = await deliveriesOf(id);
      expect([failed?.attempts, receiver.received.length]).toEqual([ATTEMPTS_MAX, ATTEMPTS_MAX]);
      expect(await replayDelivery(s, actor, id, failed?.id ?? '')).toMatchObject({ status: 'pending', attempts: 0 });
      await until('replayed', async () => (await deliveriesOf(id))[0]?.status === 'delivered');
      expect(receiver.received.at(-1)?.headers['webhook-id']).toBe(failed?.event_id);
      receiver.statuses.push(410);
      await cancelRun(s, actor, await seedRun(s, seeded));
      await until('disabled', async () => !(await getWebhook(s, actor, id)).enabled);
      expect((await deliveriesOf(id))[0]).toMatchObject({ status: 'failed', attempts: 1 });
    });
  });

  test('waits longer each time, to half a day, never twice the same', () => {
    const means = [5, 20, 80, 320];
    for (const [i, mean] of means.entries()) {
      const pauses = Array.from({ length: 50 }, () => webhookPauseMs(i + 1));
      expect(new Set(pauses).size).toBeGreaterThan(40);
      for (const pause of pauses) expect(Math.abs(pause / (1_000 * mean) - 1)).toBeLessThanOrEqual(0.2);
    }
    expect(webhookPauseMs(ATTEMPTS_MAX)).toBeLessThanOrEqual(1.2 * 12 * 3_600_000);
  });

  test('to a webhook that hangs does not hold up another, and two senders send it once', async () => {
    await fresh();
    const slow = await startReceiver([0]);
    try {
      await hook({ url: slow.url });
      const { id } = await hook();
      for (let i = 0; i < 3; i++) await cancelRun(s, actor, await seedRun(s, seeded));
      const isDone = async () => (await deliveriesOf(id)).every(({ status }) => status === 'delivered');
      const options = { timeoutMs: 2_000 };
      await sending(() => sending(() => until('three', isDone), options), options);
      expect(receiver.received.length).toBe(3);
    } finally {
      await slow.close();
    }
  });

  test('that its sender did not end is sent again after its lease', async () => {
    await fresh();
    const { id } = await hook();
    await cancelRun(s, actor, await seedRun(s, seeded));
    await s.db.webhookDelivery.updateMany({ data: { attempts: 1, nextAt: new Date(Date.now() + 60_000) } });
    await sending(async () => {
      await sleep(100);
      expect(receiver.received).toEqual([]);
      await s.db.webhookDelivery.updateMany({ data: { nextAt: new Date() } });
      await until('sent', async () => (await deliveriesOf(id))[0]?.status === 'delivered');
    });
  });
});

describe('a secret', () => {
  test('is shown once, and after a rotation both sign until the old one has run out', async () => {
    await fresh();
    const { id, secret: old = '' } = await hook();
    expect(old).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    for (const one of [await getWebhook(s, actor, id), ...(await listWebhooks(s, actor)).data])
      expect(one).not.toHaveProperty('secret');
    const rotated = await rotateWebhook(s, actor, id, 3600);
    expect(rotated.previous_secret_expires_at).toBeGreaterThan(Date.now() / 1_000 + 3_500);
    expect(await testWebhook(s, actor, id, LOCAL)).toMatchObject({ status: 'delivered', type: 'webhook.test' });
    await s.db.webhook.update({ where: { id }, data: { previousUntil: new Date(0) } });
    await testWebhook(s, actor, id, LOCAL);
    const [both, alone] = receiver.received;
    if (!both || !alone) throw new Error('two posts were made');
    const fresh2 = rotated.secret ?? '';
    expect(both.headers['webhook-signature']).toBe(`${signatureOf(fresh2, both)} ${signatureOf(old, both)}`);
    expect(alone.headers['webhook-signature']).toBe(signatureOf(fresh2, alone));
  });
});

describe('an address', () => {
  const PRIVATE = [
    'http://127.0.0.1:1/',
    'http://localhost/',
    'http://a.localhost/',
    'http://10.1.2.3/',
    'http://192.168.0.1/',
    'http://172.16.0.1/',
    'http://169.254.169.254/latest/meta-data',
    'http://100.64.0.1/',
    'http://0.0.0.0/',
    'http://[::1]/',
    'http://[::ffff:127.0.0.1]/',
    'http://[fd00::1]/',
    'http://[fe80::1]/',
    'http://[64:ff9b::7f00:1]/',
    'http://2130706433/',
    'http://0x7f.1/',
  ];
  test.each(PRIVATE)('%s is refused unless the operator allows it', async (url) => {
    await fresh();
    const refused = { code: 'invalid_value', param: 'url', hint: expect.stringContaining('MORAINE_WEBHOOK_PRIVATE') };
    const strict = { allowsPrivate: false };
    await expect(createWebhook(s, actor, { url }, strict)).rejects.toMatchObject(refused);
    const { id } = await createWebhook(s, actor, { url }, LOCAL);
    await expect(updateWebhook(s, actor, id, { url }, strict)).rejects.toMatchObject(refused);
    const { log } = await testWebhook(s, actor, id, strict);
    expect(log[0]).toMatchObject({ status_code: null, error: expect.stringContaining('private or loopback') });
  });

  test('is refused by what its name leads to, when something is sent', async () => {
    await fresh();
    // A name that /etc/hosts of every machine has, spelled so that only looking it up tells.
    const { id } = await createWebhook(s, actor, { url: receiver.url.replace('127.0.0.1', 'LOCALHOST.') }, LOCAL);
    const { log } = await testWebhook(s, actor, id, { allowsPrivate: false });
    expect(log[0]?.status_code).toBeNull();
    expect(receiver.received).toEqual([]);
    expect(isPublicAddress('93.184.215.14') && isPublicAddress('2606:2800:21f::1')).toBe(true);
  });

  test('is refused by what its name leads to when it is registered, and taken where nobody knows the name', async ({
    skip,
  }) => {
    await fresh();
    const found = await lookup(hostname()).catch(() => null);
    if (found === null || isPublicAddress(found.address)) skip('the name of this machine leads to no private address');
    const strict = { allowsPrivate: false };
    const refused = { code: 'invalid_value', param: 'url' };
    const url = `http://${hostname()}/`;
    await expect(createWebhook(s, actor, { url }, strict)).rejects.toMatchObject(refused);
    const { id } = await createWebhook(s, actor, { url: 'https://nobody.invalid/' }, strict);
    await expect(updateWebhook(s, actor, id, { url }, strict)).rejects.toMatchObject(refused);
  });

  test('may be written in capitals', async () => {
    await fresh();
    const { id } = await createWebhook(s, actor, { url: receiver.url.replace('http:', 'HTTPS:') }, LOCAL);
    const { log } = await testWebhook(s, actor, id, LOCAL);
    // The receiver does not speak TLS, and is asked to.
    expect(log[0]?.error).toMatch(/SSL|TLS|wrong version|EPROTO|hang up|ECONNRESET/i);
  });

  test('holds no name and password, and a project has twenty at most', async () => {
    await fresh();
    const refused = { code: 'invalid_value', param: 'url' };
    await expect(hook({ url: 'https://user:pw@example.com/' })).rejects.toMatchObject(refused);
    const made = await Promise.allSettled(Array.from({ length: 24 }, () => hook()));
    expect(made.filter(({ status }) => status === 'fulfilled').length).toBe(20);
    await expect(hook()).rejects.toMatchObject({ code: 'conflict' });
    expect(await s.db.webhook.count({ where: { projectId: actor.projectId } })).toBe(20);
    expect((await listWebhooks(s, actor)).data.length).toBe(20);
  });
});

test('a webhook is changed and deleted with its deliveries, whose list has pages', async () => {
  await fresh();
  const { id } = await hook();
  for (let i = 0; i < 3; i++) await cancelRun(s, actor, await seedRun(s, seeded));
  const first = await listDeliveries(s, actor, id, { limit: 2 });
  const rest = await listDeliveries(s, actor, id, { limit: 2, after: first.last_id ?? '' });
  expect([first.data.length, first.has_more, rest.data.length, rest.has_more]).toEqual([2, true, 1, false]);
  expect((await listDeliveries(s, actor, id, { limit: 9, status: 'delivered' })).data).toEqual([]);
  const changes = { url: 'https://example.com/x', description: 'CI', events: ['fine_tuning.job.failed' as const] };
  expect(await updateWebhook(s, actor, id, changes, LOCAL)).toMatchObject(changes);
  expect(await deleteWebhook(s, actor, id)).toEqual({ id, object: 'webhook', deleted: true });
  await expect(getWebhook(s, actor, id)).rejects.toMatchObject({ code: 'not_found' });
  expect(await s.db.webhookDelivery.count()).toBe(0);
});
