import { AppError } from '@moraine/contract';
import { createRouteClient, type RouteTable } from '@moraine/contract/route-client';
import { ACCESS_ROUTES } from '@moraine/contract/routes/access';
import { FINE_TUNING_ROUTES } from '@moraine/contract/routes/fine-tuning';
import { RUN_ROUTES } from '@moraine/contract/routes/runs';
import { WORKER_ROUTES } from '@moraine/contract/routes/workers';
import { connection } from './connection.js';

/** No request waits longer, body included: a server that accepts and says nothing is away. */
const TIMEOUT_MS = 10_000;
/** How long nothing is asked or heard before the server is asked whether it is there. */
const QUIET_MS = 1500;

/** Every call says whether the server answered, so that the badge knows. The body is read here: an answer is one when it is whole. */
const send: typeof fetch = async (input, init) => {
  const waiting = connection.asked();
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  const signal = init?.signal ? AbortSignal.any([init.signal, timeout]) : timeout;
  try {
    const response = await fetch(input, { ...init, signal });
    const body = await response.arrayBuffer();
    // A gateway in front of a dead server responds for it.
    waiting.end(response.status < 502 || response.status > 504 ? 'answered' : 'failed');
    return new Response(body, response);
  } catch (cause) {
    waiting.end(init?.signal?.aborted ? 'dropped' : 'failed');
    throw cause;
  }
};

/** The routes of the pages that everyone opens; a page with routes of its own makes a client of them, which comes with that page. */
const ROUTES = { ...RUN_ROUTES, ...FINE_TUNING_ROUTES, ...WORKER_ROUTES, ...ACCESS_ROUTES };

/** A typed client of some routes; the session cookie authenticates. */
export const clientOf = <T extends RouteTable>(routes: T) => createRouteClient(routes, { origin: '', fetch: send });

export const client = clientOf(ROUTES);

/** Asks whether the server is there while a page that has nothing to ask is in sight; returns how to stop. */
export function keepAsking(): () => void {
  const timer = setInterval(() => {
    if (!document.hidden && connection.isQuietFor(QUIET_MS)) void send('/readyz').catch(() => undefined);
  }, QUIET_MS / 4);
  return () => clearInterval(timer);
}

export const isSignedOut = (error: unknown): boolean =>
  error instanceof AppError && (error.code === 'missing_api_key' || error.code === 'invalid_api_key');

export const isOffline = (error: unknown): boolean => error instanceof AppError && error.code === 'unavailable';
