import { AppError } from '@moraine/contract';
import type { FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Its answer may take minutes by its nature. */
    isLong?: true;
  }
}

export interface ShedOptions {
  /** For how long the first of those who wait for a connection to Postgres has waited, milliseconds. */
  poolWaitMs: () => number;
  /** Requests in flight at most; streams, answers of models, uploads and downloads, which are long by nature, do not count. */
  inFlightMax?: number;
  poolWaitMsMax?: number;
  loopLateMsMax?: number;
}

/** At 200 a second these come within 2.5 s. */
const IN_FLIGHT_MAX = 500;
/** A caller that waited so long would rather have been told to come again; a shorter pause passes by itself. */
const POOL_WAIT_MS = 2_000;
const LATE_MS = 3_000;
const TICK_MS = 100;
const LOG_EVERY_MS = 10_000;

/** What a new finding counts for: one long block is no overload, some in a row are. */
const NEW_SHARE = 0.25;

/** How late the event loop comes to what is due, of late. */
function watchLoop(): { lateMs(): number; stop(): void } {
  let tickedAt = performance.now();
  let lateMs = 0;
  const timer = setInterval(() => {
    const found = Math.max(0, performance.now() - tickedAt - TICK_MS);
    lateMs += NEW_SHARE * (found - lateMs);
    tickedAt = performance.now();
  }, TICK_MS).unref();
  return { lateMs: () => lateMs, stop: () => clearInterval(timer) };
}

const isLong = ({ routeOptions, headers }: FastifyRequest): boolean =>
  routeOptions.schema?.response === undefined ||
  routeOptions.config.isLong === true ||
  (headers['content-type'] ?? '').startsWith('multipart/');

/**
 * Refuses work that would only queue: 503 with `retry-after` at once, before anything is looked up, while too many requests are in flight,
 * Postgres has no connection left, or the event loop is late. What lies outside the scope of this plugin (health) is always answered.
 */
export const shed = fp<ShedOptions>(
  async (app, { poolWaitMs, inFlightMax = IN_FLIGHT_MAX, poolWaitMsMax = POOL_WAIT_MS, loopLateMsMax = LATE_MS }) => {
    const counted = new WeakSet<FastifyRequest>();
    const loop = watchLoop();
    let inFlight = 0;
    let refused = 0;
    let loggedAt = Number.NEGATIVE_INFINITY;

    const reasonNow = (): string | null => {
      if (inFlight >= inFlightMax) return `${inFlight} requests are being answered`;
      const [waitMs, lateMs] = [Math.round(poolWaitMs()), Math.round(loop.lateMs())];
      if (waitMs > poolWaitMsMax) return `connections to Postgres are waited for, ${waitMs} ms by now`;
      return lateMs > loopLateMsMax ? `it is some ${lateMs} ms late` : null;
    };
    const refuse = (reason: string): never => {
      refused++;
      if (performance.now() - loggedAt > LOG_EVERY_MS) {
        app.log.warn({ refused, reason }, 'more requests come than can be answered in time; some are refused');
        loggedAt = performance.now();
        refused = 0;
      }
      throw new AppError('unavailable', `The server has more to do than it can in time: ${reason}.`, {
        hint: 'Try again in a second.',
      });
    };

    app.addHook('onRequest', (request, _reply, done) => {
      if (isLong(request)) return done();
      const reason = reasonNow();
      if (reason) refuse(reason);
      counted.add(request);
      inFlight++;
      done();
    });
    const leave = (request: FastifyRequest): void => {
      if (counted.delete(request)) inFlight--;
    };
    app.addHook('onResponse', (request, _reply, done) => {
      leave(request);
      done();
    });
    app.addHook('onRequestAbort', async (request) => leave(request));
    app.addHook('onClose', async () => loop.stop());
  },
);
