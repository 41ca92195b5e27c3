import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type TestServices, testServices } from '@moraine/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Count, countRequests } from '../src/plugins/rate-count.js';

let t: TestServices;
beforeAll(async () => {
  t = await testServices();
});
afterAll(() => t.close());

/** Counters of so many replicas over one Redis. */
const replicas = (count: number, windowMs: number): Count[] => {
  const { redis, redisLink } = t.services;
  const prefix = `${randomUUID()}:`;
  return Array.from({ length: count }, () => countRequests({ redis, redisLink, prefix, windowMs }));
};

it('requests count at once where they are made, and within a moment at every replica', async () => {
  const [here, there] = replicas(2, 60_000) as [Count, Count];
  for (let n = 1; n <= 20; n++) expect(here('a').made).toBe(n);
  // Not all have been told yet; the next one after a moment tells the rest.
  await sleep(120);
  here('a');
  await expect.poll(() => there('a').made, { interval: 120, timeout: 2_000 }).toBeGreaterThan(21);
  expect(there('b').made).toBe(1);
});

it('Redis is told ten times a second at most, of each request once', async () => {
  const { redis } = t.services;
  const counter = countRequests({
    redis,
    prefix: `${randomUUID()}:`,
    windowMs: 60_000,
    redisLink: {
      tell: (_what, work) => {
        told++;
        return work();
      },
    },
  });
  let told = 0;
  const from = performance.now();
  let last = 0;
  for (let n = 0; n < 60; n++) {
    last = counter('a').made;
    await sleep(5);
  }
  expect(told).toBeLessThanOrEqual(1 + Math.ceil((performance.now() - from) / 100));
  expect(told).toBeGreaterThan(1);
  expect(last).toBe(60);
});

it('a window ends with its time, and the next one begins with nothing', async () => {
  const [count] = replicas(1, 200) as [Count];
  count('a');
  expect(count('a')).toMatchObject({ made: 2, leftMs: expect.closeTo(200, -2) });
  await sleep(250);
  expect(count('a').made).toBe(1);
});
