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
    const response = await send(hub, url, watch, { headers });
    if (response.ok) return { response, body: readBody(response, watch) };
    const text = await response.text();
    watch.end();
    throw isPassing(hub, response) ? passing(response.url, response) : await refusalOf(hub, response, text, asked);
  } catch (error) {
    watch.end();
    throw isOurs(error) ? error : brokenConnection(url, error);
  }
}

/** Redirects that a HEAD follows. */
const REDIRECTS_MAX = 10;

/**
 * Sends a HEAD to the hub and follows its redirects as `get` does, until an answer is enough. Returns the answers in their order: redirects, and
 * the last. Where the hub knows no HEAD, or another host refuses it, there is none more.
 * @throws Hiccup for what may pass; AppError for what will not
 */
export async function head(
  hub: Hub,
  path: string,
  asked: Asked,
  isEnough: (response: Response) => boolean,
): Promise<Response[]> {
  const answers: Response[] = [];
  let url: string | null = `${hub.endpoint}${path}`;
  while (url !== null && answers.length <= REDIRECTS_MAX) {
    const response = await headOnce(hub, url, asked);
    if (response === null) break;
    answers.push(response);
    url = isEnough(response) ? null : nextOf(response, url);
  }
  return answers;
}

async function headOnce(hub: Hub, url: string, asked: Asked): Promise<Response | null> {
  const watch = watchSilence(hub.patience.stallMs);
  try {
    const response = await send(hub, url, watch, { method: 'HEAD', redirect: 'manual' });
    if (response.ok || nextOf(response, url) !== null) return response;
    if (PASSING.includes(response.status)) throw passing(url, response);
    if (originOf(url) !== originOf(hub.endpoint) || isUnknownVerb(response)) return null;
    throw await refusalOf(hub, response, '', asked);
  } catch (error) {
    throw isOurs(error) ? error : brokenConnection(url, error);
  } finally {
    watch.end();
  }
}

/** Where a redirect leads. */
function nextOf({ status, headers }: Response, url: string): string | null {
  const location = headers.get('location');
  if (location === null || status < 300 || status > 399 || !URL.canParse(location, url)) return null;
  return new URL(location, url).href;
}

const isUnknownVerb = ({ status, headers }: Response): boolean =>
  [405, 501].includes(status) || (status === 404 && !headers.has('x-error-code'));

/** One request as it is sent to whoever it goes to; the token is for the hub alone. */
async function send(hub: Hub, url: string, watch: Watch, { headers, ...init }: SendOptions): Promise<Response> {
  const isHub = originOf(url) === originOf(hub.endpoint);
  const response = await fetch(url, {
    ...init,
    // A file's bytes as they are: a packed answer cannot go on in the middle.
    headers: {
      'accept-encoding': 'identity',
      'user-agent': 'moraine',
      ...(hub.token !== null && isHub && { authorization: `Bearer ${hub.token}` }),
      ...headers,
    },
    signal: hub.signal === null ? watch.signal : AbortSignal.any([watch.signal, hub.signal]),
  });
  watch.touch();
  return response;
}

type SendOptions = Pick<RequestInit, 'method' | 'redirect'> & { headers?: Record<string, string> };

const passing = (url: string, { status, headers }: Response): Hiccup =>
  new Hiccup(`${originOf(url)} answers ${status}`, waitAskedFor(headers));

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
