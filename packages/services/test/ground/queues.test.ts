import { openBetween, testServices } from '@moraine/testing';
import { afterAll, expect, test, vi } from 'vitest';
import { openServices, openWakeConsumer, type Services } from '../../src/index.js';

const t = await testServices();
afterAll(() => t.close());
const s: Services = t.services;
const { databaseUrl, blobsDir } = t;

const wake = (services: Services, pool: string, taskId: string) =>
  services.queues.of(pool).add('run', { taskId, submission: 1 });

test('a pool has one queue however often it is asked for, and other pools have others', () => {
  expect(s.queues.of('one')).toBe(s.queues.of('one'));
  expect(s.queues.of('one')).not.toBe(s.queues.of('two'));
  expect(s.queues.of('one').name).toBe('moraine-one');
});

test('a queue that could not be opened while Redis was silent is opened anew by the next call', async () => {
  const between = await openBetween(t.redisUrl);
  const through = await openServices({ databaseUrl, blobsDir, redisUrl: between.url, log: s.log });
  between.silence();
  const broken = through.queues.of('reopened');
  await expect(broken.waitUntilReady()).rejects.toThrow();
  await expect.poll(() => through.queues.of('reopened') !== broken, { timeout: 2_000 }).toBe(true);
  between.close();
  await through.close();
}, 30_000);

test('a consumer whose connection went silent is opened again and gets the wake-up that came meanwhile', async () => {
  const pool = 'silent';
  const between = await openBetween(t.redisUrl);
  const consumer = openWakeConsumer({ ...s, redisUrl: between.url }, pool, { blockSeconds: 0.5 });
  expect(await consumer.next(100)).toBeNull();
  expect(consumer.restarts()).toBe(0);
  between.silence();
  await wake(s, pool, 'run-late');
  const held = await consumer.next(15_000);
  expect(held?.taskId).toBe('run-late');
  expect(consumer.restarts()).toBeGreaterThanOrEqual(1);
  await held?.finish();
  await consumer.close();
  between.close();
}, 30_000);

test('a consumer that nobody wakes gives up in time, also where somebody puts the clock of the machine back', async () => {
  const consumer = openWakeConsumer(s, 'clock', { blockSeconds: 0.2 });
  const waits = consumer.next(300);
  const now = vi.spyOn(Date, 'now').mockImplementation(() => performance.timeOrigin + performance.now() - 300_000);
  const late = AbortSignal.timeout(10_000);
  expect(await Promise.race([waits, new Promise((resolve) => late.addEventListener('abort', resolve))])).toBeNull();
  now.mockRestore();
  await consumer.close();
}, 20_000);

test('a consumer hears of its own pool only, and of nothing after it was closed', async () => {
  const consumer = openWakeConsumer(s, 'mine', { blockSeconds: 0.5 });
  await wake(s, 'theirs', 'run-theirs');
  expect(await consumer.next(200)).toBeNull();
  await wake(s, 'mine', 'run-mine');
  const held = await consumer.next(5_000);
  expect(held?.taskId).toBe('run-mine');
  await held?.finish();
  await consumer.close();
  expect(await consumer.next(10_000)).toBeNull();
});

test('a wake-up that was not finished is not handed to another consumer while its first one lives', async () => {
  const pool = 'held';
  await wake(s, pool, 'run-held');
  const [first, second] = [0, 1].map(() => openWakeConsumer(s, pool, { blockSeconds: 0.5 }));
  const held = await first?.next(5_000);
  expect(held?.taskId).toBe('run-held');
  expect(await second?.next(300)).toBeNull();
  await held?.finish();
  expect(await s.queues.of(pool).getJobCountByTypes('active', 'waiting', 'prioritized')).toBe(0);
  await Promise.all([first?.close(), second?.close()]);
});
