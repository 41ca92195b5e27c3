import type { z } from 'zod';
import { AppError, ERROR_CODES, type ErrorCode } from '../errors.js';
import { ErrorBody } from '../objects/common.js';
import type { Route } from '../routes/route.js';

/** Routes by their names. */
export type RouteTable = Record<string, Route>;

type In<R, K extends keyof Route> = R extends Record<K, infer S extends z.ZodType> ? z.input<S> : undefined;
type Out<R> = R extends { response: infer S extends z.ZodType } ? z.output<S> : Response;

export interface CallOptions<R> {
  params?: In<R, 'params'>;
  query?: In<R, 'query'>;
  body?: In<R, 'body'> | In<R, 'json'> | FormData;
  signal?: AbortSignal;
}

export interface ClientOptions {
  /** Address of the server without a path, e.g. `http://127.0.0.1:7311`; empty in a page that the server itself serves. */
  origin: string;
  /** Bearer key; absent where a session cookie authenticates. */
  apiKey?: string;
  fetch?: typeof fetch;
}

export interface RouteClient<T extends RouteTable> {
  /** Calls a route by its name. Answers the parsed body, or the raw `Response` of a route that returns bytes. Throws `AppError`. */
  call<N extends keyof T & string>(name: N, options?: CallOptions<T[N]>): Promise<Out<T[N]>>;
  /** The full address of a route, for links and streams. */
  url<N extends keyof T & string>(name: N, options?: Pick<CallOptions<T[N]>, 'params' | 'query'>): string;
}

function address(origin: string, route: Route, params: unknown, query: unknown): string {
  const values = (params ?? {}) as Record<string, unknown>;
  const path = route.path.replaceAll(/:(\w+)/g, (_, key: string) => encodeURIComponent(String(values[key] ?? '')));
  const search = new URLSearchParams();
  const put = (key: string, value: unknown): void => {
    if (value === undefined || value === null) return;
    if (typeof value !== 'object') search.set(key, String(value));
    else for (const [inner, item] of Object.entries(value)) put(`${key}[${inner}]`, item);
  };
  for (const [key, value] of Object.entries((query ?? {}) as Record<string, unknown>)) put(key, value);
  return origin + path + (search.size > 0 ? `?${search}` : '');
}

/** The error that an answer of ours tells. */
export function toAppError(status: number, text: string): AppError {
  try {
    const { error } = ErrorBody.parse(JSON.parse(text));
    const code = error.code !== null && error.code in ERROR_CODES ? (error.code as ErrorCode) : 'internal';
    return new AppError(code, error.message, { param: error.param ?? undefined });
  } catch (cause) {
    return new AppError('internal', `The server answered ${status}: ${text.slice(0, 200)}`, { cause });
  }
}

/** The typed client over these routes alone; a page that calls few of them need not carry the others. */
export function createRouteClient<T extends RouteTable>(
  routes: T,
  { origin, apiKey, fetch: send = fetch }: ClientOptions,
): RouteClient<T> {
  return {
    url: (name, options = {}) => address(origin, routes[name] as Route, options.params, options.query),
    async call(name, options = {}) {
      const route = routes[name] as Route;
      const { body } = options;
      const headers: Record<string, string> = { accept: route.produces ?? 'application/json' };
      if (apiKey) headers.authorization = `Bearer ${apiKey}`;
      if (body !== undefined && !(body instanceof FormData)) headers['content-type'] = 'application/json';
      const response = await send(address(origin, route, options.params, options.query), {
        method: route.method,
        headers,
        body: body === undefined ? undefined : body instanceof FormData ? body : JSON.stringify(body),
        signal: options.signal,
      }).catch((cause: unknown) => {
        if (options.signal?.aborted) throw cause;
        throw new AppError('unavailable', `No answer from ${origin || 'the server'}.`, {
          hint: 'Is the stack running? Start it with npm start.',
          cause,
        });
      });
      if (!response.ok) throw toAppError(response.status, await response.text());
      if (!route.response) return response as never;
      return route.response.parse(await response.json()) as never;
    },
  };
}
