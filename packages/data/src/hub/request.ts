import { Hiccup, type Hub } from './hub.js';
import { type Asked, refusalOf } from './refusal.js';

const PASSING = [408, 425, 429, 500, 502, 503, 504];

/**
 * Sends a GET to the hub, follows its redirects (the token stays with the hub's own origin, as fetch has it) and returns the answer of
 * the last; its body ends with a `Hiccup` when no byte comes for `patience.stallMs`.
 * @throws Hiccup for what may pass; AppError for what will not
 */
export async function get(
  hub: Hub,
  path: string,
  asked: Asked,
  headers: Record<string, string> = {},
): Promise<{ response: Response; body: AsyncGenerator<Uint8Array> }> {
  const watch = watchSilence(hub.patience.stallMs);
  const url = `${hub.endpoint}${path}`;
  try {
    const response = await fetch(url, {
      // A file's bytes as they are: a packed answer cannot go on in the middle.
      headers: {
        'accept-encoding': 'identity',
        'user-agent': 'moraine',
        ...(hub.token !== null && { authorization: `Bearer ${hub.token}` }),
        ...headers,
      },
      signal: hub.signal === null ? watch.signal : AbortSignal.any([watch.signal, hub.signal]),
    });
    watch.touch();
    if (response.ok) return { response, body: readBody(response, watch) };
    const text = await response.text();
    watch.end();
    throw isPassing(hub, response)
      ? new Hiccup(`${originOf(response.url)} answers ${response.status}`, waitAskedFor(response.headers))
      : await refusalOf(hub, response, text, asked);
  } catch (error) {
    watch.end();
    throw isOurs(error) ? error : brokenConnection(url, error);
  }
}

const isOurs = (error: unknown): boolean =>
  error instanceof Hiccup || (error instanceof Error && error.name === 'AppError');

/** A link that a hub gives out may have run out by the time it is followed; the hub gives a new one. */
const isPassing = ({ endpoint }: Hub, { status, url }: Response): boolean =>
  PASSING.includes(status) || (status === 403 && originOf(url) !== originOf(endpoint));

const originOf = (url: string): string => new URL(url).origin;

async function* readBody(response: Response, watch: Watch): AsyncGenerator<Uint8Array> {
  try {
    for await (const piece of response.body ?? []) {
      // Who reads may take as long as a slow disk does.
      watch.end();
      yield piece;
      watch.touch();
    }
  } catch (error) {
    throw brokenConnection(response.url, error);
  } finally {
    watch.end();
  }
}

/** Certificates and addresses do not become right by waiting, but a network that comes up late does the same; so all are tried again. */
function brokenConnection(url: string, error: unknown): Hiccup {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const code = cause instanceof Error && 'code' in cause ? cause.code : cause instanceof Error ? cause.message : cause;
  return new Hiccup(`The connection to ${originOf(url)} failed (${code})`, null, error);
}

/** `Retry-After` in seconds or as a date, or `t` of the hub's `RateLimit`; in ms, null when the server says nothing. */
export function waitAskedFor(headers: Headers): number | null {
  const after = headers.get('retry-after') ?? /(?:^|;)\s*t=(\d+)/.exec(headers.get('ratelimit') ?? '')?.[1];
  if (after === undefined || after === null) return null;
  const ms = /^\d+$/.test(after) ? Number(after) * 1000 : Date.parse(after) - Date.now();
  return Number.isNaN(ms) ? null : Math.max(0, ms);
}

interface Watch {
  signal: AbortSignal;
  touch(): void;
  end(): void;
}

/** Aborts its signal when nothing touches it for `ms`. */
function watchSilence(ms: number): Watch {
  const controller = new AbortController();
  const stop = (): void => controller.abort(new Error(`silent for ${ms} ms`));
  let timer = setTimeout(stop, ms);
  return {
    signal: controller.signal,
    touch() {
      clearTimeout(timer);
      timer = setTimeout(stop, ms);
    },
    end: () => clearTimeout(timer),
  };
}
