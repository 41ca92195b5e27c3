import { ROUTES, type Route, type RouteName } from '@moraine/contract';
import type { Actor, Services } from '@moraine/services';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { ApiEnv } from '../env.js';
import { actorOf } from '../plugins/access.js';
import { keepSentText } from '../serving/sent-text.js';
import { schemaOf } from './schema.js';

type Table = typeof ROUTES;
type Checked<N extends RouteName, K extends keyof Route> =
  Table[N] extends Record<K, infer S extends z.ZodType> ? z.output<S> : undefined;
/** A body reaches its verb as it came: the verb stores what the caller sent, and fills in defaults itself. */
type Sent<N extends RouteName> = Table[N] extends { body: infer S extends z.ZodType } ? z.input<S> : undefined;

/** What a handler gets: who asks, and the parts of the request after their schemas. */
export interface Call<N extends RouteName> {
  s: Services;
  env: ApiEnv;
  actor: Actor;
  params: Checked<N, 'params'>;
  query: Checked<N, 'query'>;
  body: Sent<N>;
  request: FastifyRequest;
  reply: FastifyReply;
}

/** The object of the route's response schema, or a reply that was already given (bytes, streams, 304). */
type Answer<N extends RouteName> = Table[N] extends { response: infer S extends z.ZodType }
  ? z.output<S> | FastifyReply
  : FastifyReply | undefined;

export type Handler<N extends RouteName> = (call: Call<N>) => Promise<Answer<N>>;
export type Handlers<N extends RouteName = RouteName> = { [K in N]: Handler<K> };

/** Prompts may be long, and there may be many of them. */
const LONG_BODY_BYTES = 16 * 2 ** 20;

/** Registers a route of the contract's table. `handle` gets the checked parts of the request. */
export function bind<N extends RouteName>(
  app: FastifyInstance,
  name: N,
  handle: Handler<N>,
  s: Services,
  env: ApiEnv,
): void {
  const route: Route = ROUTES[name];
  app.route({
    method: route.method,
    url: route.path,
    schema: schemaOf(name),
    ...(route.isLong && { config: { isLong: true }, bodyLimit: LONG_BODY_BYTES, preParsing: keepSentText }),
    ...(route.produces === 'text/event-stream' && { sse: { kind: 'manual' as const } }),
    async handler(request, reply) {
      const { params, query, body } = request;
      return handle({ s, env, actor: actorOf(request), params, query, body, request, reply } as Call<N>);
    },
  });
}

/** Registers every route of the table; the type of `handlers` makes a missing or a surplus one a compile error. */
export function bindAll(app: FastifyInstance, handlers: Handlers, s: Services, env: ApiEnv): void {
  for (const name of Object.keys(ROUTES) as RouteName[])
    bind(app, name, handlers[name] as Handler<typeof name>, s, env);
}
