import { cancelRun, createRun, getRun, listCheckpoints, listEvents, listRuns } from '@moraine/services';
import type { FastifyRequest } from 'fastify';
import type { Handlers } from './bind.js';

/** `metadata[key]=value` of a query string, as pairs. */
function metadataOf(query: Record<string, unknown>): Record<string, string> | undefined {
  const pairs = Object.entries(query).flatMap(([name, value]) => {
    const key = /^metadata\[(.+)\]$/.exec(name)?.[1];
    return key !== undefined && typeof value === 'string' ? [[key, value] as const] : [];
  });
  return pairs.length > 0 ? Object.fromEntries(pairs) : undefined;
}

const header = (request: FastifyRequest, name: string): string | undefined => {
  const value = request.headers[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
};

export const fineTuningHandlers: Handlers<
  'createRun' | 'listRuns' | 'getRun' | 'cancelRun' | 'listRunEvents' | 'listRunCheckpoints'
> = {
  createRun({ s, actor, body, request }) {
    const retryCount = Number(header(request, 'x-stainless-retry-count') ?? 0) || 0;
    return createRun(s, actor, body, { idempotencyKey: header(request, 'idempotency-key'), retryCount });
  },
  listRuns: ({ s, actor, query: { limit, after, status, ...rest } }) =>
    listRuns(s, actor, { limit, after, status, metadata: metadataOf(rest) }),
  getRun: ({ s, actor, params }) => getRun(s, actor, params.id),
  cancelRun: ({ s, actor, params }) => cancelRun(s, actor, params.id),
  listRunEvents: ({ s, actor, params, query }) => listEvents(s, actor, params.id, query),
  listRunCheckpoints: ({ s, actor, params, query }) => listCheckpoints(s, actor, params.id, query),
};
