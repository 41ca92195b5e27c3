import { createHash } from 'node:crypto';
import { listEvaluations, listLogs, openAdapter, readMetrics } from '@moraine/services';
import type { Handlers } from './bind.js';
import { sendBytes } from './bytes.js';
import { streamRun, streamRuns } from './stream.js';

const tagOf = (body: unknown): string => `W/"${createHash('sha1').update(JSON.stringify(body)).digest('base64url')}"`;

export const runHandlers: Handlers<
  'getRunMetrics' | 'streamRun' | 'streamRuns' | 'getRunLogs' | 'getRunAdapter' | 'listRunEvaluations'
> = {
  async getRunMetrics({ s, actor, params, query, request, reply }) {
    const names = query.names?.split(',').map((name) => name.trim());
    const metrics = await readMetrics(s, actor, params.id, { ...query, names });
    const tag = tagOf(metrics);
    void reply.header('etag', tag).header('cache-control', 'no-cache');
    return request.headers['if-none-match'] === tag ? reply.code(304).send() : metrics;
  },
  streamRun,
  streamRuns,
  getRunLogs: ({ s, actor, params, query }) => listLogs(s, actor, params.id, query),
  async getRunAdapter({ s, actor, params, query, reply }) {
    return sendBytes(reply, 'application/x-tar', await openAdapter(s, actor, params.id, query.format));
  },
  listRunEvaluations: ({ s, actor, params }) => listEvaluations(s, actor, params.id),
};
