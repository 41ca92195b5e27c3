import { renderCourse } from '@moraine/contract/analyses';
import {
  cancelAnalysis,
  createAnalysis,
  getAnalysis,
  getRunAnalyses,
  listAnalyses,
  listAnalysisEvents,
  listAnalysisRows,
} from '@moraine/services';
import type { Handlers } from './bind.js';
import { repeatableOf } from './repeatable.js';
import { sendResult } from './send-result.js';

export const analysisHandlers: Handlers<
  | 'createAnalysis'
  | 'listAnalyses'
  | 'getAnalysis'
  | 'cancelAnalysis'
  | 'getRunAnalyses'
  | 'listAnalysisRows'
  | 'listAnalysisEvents'
> = {
  createAnalysis: ({ s, actor, body, request }) => createAnalysis(s, actor, body, repeatableOf(request)),
  listAnalyses: ({ s, actor, query }) => listAnalyses(s, actor, query),
  getAnalysis: ({ s, actor, params }) => getAnalysis(s, actor, params.id),
  cancelAnalysis: ({ s, actor, params }) => cancelAnalysis(s, actor, params.id),
  listAnalysisRows: ({ s, actor, params, query }) => listAnalysisRows(s, actor, params.id, query),
  async getRunAnalyses({ s, actor, params, query, request, reply }) {
    const course = await getRunAnalyses(s, actor, params.id, query);
    return sendResult(request, reply, query.format, course, renderCourse);
  },
  listAnalysisEvents: ({ s, actor, params, query }) => listAnalysisEvents(s, actor, params.id, query),
};
