import { ROUTES, type Route, type RouteName, toAppError } from '@moraine/contract';
import type { FastifySchemaCompiler, RouteOptions } from 'fastify';
import { z } from 'zod';

/** Checks with zod; the first problem is said with its key, value and fix. Nothing is coerced in a body, and nothing dropped from it. */
export const validator: FastifySchemaCompiler<z.ZodType> =
  ({ schema, httpPart }) =>
  (input: unknown) => {
    const result = schema.safeParse(input);
    if (!result.success) return { error: toAppError(result.error, schema, input) };
    return { value: httpPart === 'body' ? input : result.data };
  };

const NO_QUERY = z.strictObject({});

/** The Fastify schema of a route: what is checked, and what the OpenAPI document says about it. */
export function schemaOf(name: RouteName): RouteOptions['schema'] {
  const route: Route = ROUTES[name];
  return {
    operationId: name,
    summary: route.summary,
    tags: [route.tag],
    ...(route.consumes && { consumes: [route.consumes] }),
    ...(route.params && { params: route.params }),
    querystring: route.query ?? NO_QUERY,
    ...(route.body && { body: route.body }),
    ...(route.response && { response: { 200: route.response } }),
  };
}
