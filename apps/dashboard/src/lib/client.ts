import { AppError } from '@moraine/contract';
import { createClient } from '@moraine/contract/client';
import { connection } from './connection.js';

/** Every call says whether the server answered, so that the badge knows without calls of its own. */
const send: typeof fetch = async (input, init) => {
  try {
    const response = await fetch(input, init);
    // A gateway in front of a dead server responds for it.
    connection.answered(response.status < 502 || response.status > 504);
    return response;
  } catch (cause) {
    if (!init?.signal?.aborted) connection.answered(false);
    throw cause;
  }
};

/** The typed client; the session cookie authenticates. */
export const client = createClient({ origin: '', fetch: send });

export const isSignedOut = (error: unknown): boolean =>
  error instanceof AppError && (error.code === 'missing_api_key' || error.code === 'invalid_api_key');

export const isOffline = (error: unknown): boolean => error instanceof AppError && error.code === 'unavailable';
