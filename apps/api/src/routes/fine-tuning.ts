import { cancelRun, createRun, getRun, listCheckpoints, listEvents, listRuns } from '@moraine/services';
import type { FastifyRequest } from 'fastify';
import type { Handlers } from './bind.js';

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
  listRuns: ({ s, actor, query }) => listRuns(s, actor, query),
  getRun: ({ s, actor, params }) => getRun(s, actor, params.id),
  cancelRun: ({ s, actor, params }) => cancelRun(s, actor, params.id),
  listRunEvents: ({ s, actor, params, query }) => listEvents(s, actor, params.id, query),
  listRunCheckpoints: ({ s, actor, params, query }) => listCheckpoints(s, actor, params.id, query),
};
