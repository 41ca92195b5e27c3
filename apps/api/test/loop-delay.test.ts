import Fastify from 'fastify';
import { expect, it } from 'vitest';
import { loopDelay } from '../src/plugins/loop-delay.js';
import { startApi } from './support.js';

const block = (ms: number): void => {
  for (const until = performance.now() + ms; performance.now() < until; );
};

it('the delay of the event loop is the longest block of the last two windows, and is forgotten after them', async () => {
  const app = Fastify();
  await app.register(loopDelay, { windowMs: 100 });
  await app.listen({ host: '127.0.0.1', port: 0 });
  try {
    await new Promise((resolve) => setTimeout(resolve, 60));
    block(400);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(app.loopDelay().maxMs).toBeGreaterThan(300);
    await expect.poll(() => app.loopDelay().maxMs, { timeout: 20_000 }).toBeLessThan(300);
  } finally {
    await app.close();
  }
});

it('/readyz is 503 and says why while the event loop is late', async () => {
  const api = await startApi();
  try {
    const ready = async () => {
      const response = await fetch(`${api.url}/readyz`);
      return [response.status, await response.json()];
    };
    await expect.poll(ready, { timeout: 30_000 }).toMatchObject([200, { status: 'ok', event_loop: 'ok' }]);
    await new Promise((resolve) => setTimeout(resolve, 60));
    block(1_500);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(await ready()).toMatchObject([503, { status: 'unavailable', event_loop: 'late' }]);
    expect((await fetch(`${api.url}/healthz`)).status).toBe(200);
  } finally {
    await api.close();
  }
});
