import {
  cancelAnalysis,
  createAnalysis,
  getAnalysis,
  listAnalyses,
  listAnalysisEvents,
  listAnalysisRows,
} from '@moraine/services';
import type { Handlers } from './bind.js';
import { repeatableOf } from './repeatable.js';

export const analysisHandlers: Handlers<
  'createAnalysis' | 'listAnalyses' | 'getAnalysis' | 'cancelAnalysis' | 'listAnalysisRows' | 'listAnalysisEvents'
> = {
  createAnalysis: ({ s, actor, body, request }) => createAnalysis(s, actor, body, repeatableOf(request)),
  listAnalyses: ({ s, actor, query }) => listAnalyses(s, actor, query),
  getAnalysis: ({ s, actor, params }) => getAnalysis(s, actor, params.id),
  cancelAnalysis: ({ s, actor, params }) => cancelAnalysis(s, actor, params.id),
  listAnalysisRows: ({ s, actor, params, query }) => listAnalysisRows(s, actor, params.id, query),
  listAnalysisEvents: ({ s, actor, params, query }) => listAnalysisEvents(s, actor, params.id, query),
};
