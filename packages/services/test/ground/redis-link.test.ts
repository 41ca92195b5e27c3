import { newId } from '@moraine/contract';
import { openBetween, testServices } from '@moraine/testing';
import { afterAll, expect, test } from 'vitest';
import { offerTask, openServices, publishControl, REDIS_WAIT_MS, type Services } from '../../src/index.js';

const t = await testServices();
const between = await openBetween(t.redisUrl);
const { databaseUrl, blobsDir } = t;
const s: Services = await openServices({ databaseUrl, blobsDir, redisUrl: between.url, log: t.services.log });
afterAll(async () => {
  between.close();
  await s.close();
  await t.close();
});

const offer = (pool: string) => offerTask(s, { id: newId('run'), pool, submission: 1, priority: 50 });
async function timed(work: () => Promise<unknown>): Promise<number> {
  const from = performance.now();
  await work();
  return performance.now() - from;
}

test('Redis that answers is waited for: what was said is there', async () => {
  expect(await s.redisLink.tell('A value', () => s.redis.set('told', '1'))).toBe('OK');
  expect(await offer('well')).toBe(true);
  expect(await s.queues.of('well').getJobCountByTypes('waiting', 'prioritized')).toBe(1);
});

test('a Redis that hangs holds the first caller for 150 ms and the next ones not at all; what they said arrives when it goes on', async () => {
  await offer('hung');
  between.hang();
  try {
    const first = await timed(() => offer('hung'));
    expect(first).toBeGreaterThanOrEqual(REDIS_WAIT_MS - 5);
    expect(s.redisLink.isSilent()).toBe(true);
    const others = await timed(async () => {
      for (let i = 0; i < 20; i++) {
        await publishControl(s, { type: 'cancel', taskId: newId('run') });
        await offer('hung');
      }
    });
    // Forty calls: waiting for each would take six seconds.
    expect(others).toBeLessThan(40 * REDIS_WAIT_MS * 0.5);
  } finally {
    between.resume();
  }
  await expect.poll(() => s.redisLink.isSilent(), { timeout: 10_000 }).toBe(false);
  const waiting = () => t.services.queues.of('hung').getJobCountByTypes('waiting', 'prioritized');
  await expect.poll(waiting, { timeout: 10_000 }).toBe(22);
});

test('calls pile up only so far while Redis hangs', async () => {
  between.hang();
  try {
    let made = 0;
    const tell = () => {
      made++;
      return new Promise<void>(() => undefined);
    };
    await s.redisLink.tell('The first', tell);
    await Promise.all(Array.from({ length: 3_000 }, () => s.redisLink.tell('More', tell)));
    expect(made).toBe(1_000);
  } finally {
    between.resume();
  }
  await expect.poll(() => s.redisLink.isSilent(), { timeout: 10_000 }).toBe(false);
});

test('a Redis that refuses is not silent: the next caller asks again', async () => {
  const refuse = () => Promise.reject(new Error("Stream isn't writeable"));
  expect(await s.redisLink.tell('Refused', refuse)).toBeNull();
  expect(s.redisLink.isSilent()).toBe(false);
});
