import {
  deleteRun,
  listEvaluations,
  listLogs,
  openAdapter,
  readMetricsText,
  restoreRun,
  searchRuns,
  verifyRun,
} from '@moraine/services';
import { createExporter } from '../export/make-export.js';
import type { Handlers } from './bind.js';
import { sendBytes } from './bytes.js';
import { streamRun, streamRuns } from './stream.js';
import { tagged } from './tagged.js';

const listOf = (text: string | undefined): string[] | undefined => text?.split(',').map((item) => item.trim());

/** One for the server: it bounds how many exports are made at a time. */
const makeExport = createExporter();

export const runHandlers: Handlers<
  | 'searchRuns'
  | 'getRunMetrics'
  | 'streamRun'
  | 'streamRuns'
  | 'getRunLogs'
  | 'getRunAdapter'
  | 'verifyRun'
  | 'deleteRun'
  | 'restoreRun'
  | 'listRunEvaluations'
> = {
  async searchRuns({ s, actor, query, request, reply }) {
    const search = {
      ...query,
      ids: listOf(query.ids),
      count: query.count === 'true',
      deleted: query.deleted === 'true',
    };
    return tagged(request, reply, JSON.stringify(await searchRuns(s, actor, search)));
  },
  async getRunMetrics({ s, actor, params, query, request, reply }) {
    return tagged(request, reply, await readMetricsText(s, actor, params.id, { ...query, names: listOf(query.names) }));
  },
  streamRun,
  streamRuns,
  getRunLogs: ({ s, actor, params, query }) => listLogs(s, actor, params.id, query),
  async getRunAdapter({ s, actor, params, query, reply }) {
    return sendBytes(reply, 'application/x-tar', await openAdapter(s, actor, params.id, query, makeExport));
  },
  verifyRun: ({ s, actor, params }) => verifyRun(s, actor, params.id),
  deleteRun: ({ s, env, actor, params }) => deleteRun(s, actor, params.id, { keepDays: env.keepDeletedDays }),
  restoreRun: ({ s, actor, params }) => restoreRun(s, actor, params.id),
  listRunEvaluations: ({ s, actor, params }) => listEvaluations(s, actor, params.id),
};
