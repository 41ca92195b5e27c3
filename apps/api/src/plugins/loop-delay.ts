import { monitorEventLoopDelay } from 'node:perf_hooks';
import fp from 'fastify-plugin';

/** How late this process' event loop comes to what waits for it, milliseconds, over the last 5 to 10 seconds. */
export interface LoopDelay {
  meanMs: number;
  p99Ms: number;
  maxMs: number;
}

declare module 'fastify' {
  interface FastifyInstance {
    loopDelay(): LoopDelay;
  }
}

const RESOLUTION_MS = 20;
const WINDOW_MS = 5_000;

/** Measures the delay of the event loop for readiness and metrics: `app.loopDelay()`. */
export const loopDelay = fp<{ windowMs?: number }>(async (app, { windowMs = WINDOW_MS }) => {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  // A sample is the time between two looks, so the time that was meant to lie between them is no delay.
  const late = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS);
  const read = (): LoopDelay =>
    histogram.count === 0
      ? { meanMs: 0, p99Ms: 0, maxMs: 0 }
      : { meanMs: late(histogram.mean), p99Ms: late(histogram.percentile(99)), maxMs: late(histogram.max) };
  let before = read();
  // What a start takes is no delay of anybody's request.
  app.addHook('onListen', async () => void histogram.enable());
  const timer = setInterval(() => {
    before = read();
    histogram.reset();
  }, windowMs).unref();
  app.decorate('loopDelay', () => {
    const now = read();
    return {
      meanMs: Math.max(before.meanMs, now.meanMs),
      p99Ms: Math.max(before.p99Ms, now.p99Ms),
      maxMs: Math.max(before.maxMs, now.maxMs),
    };
  });
  app.addHook('onClose', async () => {
    clearInterval(timer);
    histogram.disable();
  });
});
