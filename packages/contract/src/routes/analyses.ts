import { z } from 'zod';
import { AnalysisCourse } from '../analyses/course.js';
import { CreateAnalysisRequest } from '../analysis-request.js';
import { AnalysisRow, AnalysisTaskObject, EventObject, listOf } from '../objects/index.js';
import { RunStatus } from '../states.js';
import { after, format, id, inQuery, limit, table, typesOf } from './route.js';

export const ANALYSIS_ROUTES = table({
  createAnalysis: {
    method: 'POST',
    path: '/v1/analyses',
    tag: 'Analyses',
    summary: 'Queue an analysis: how the weights of a model were changed, or what it memorised',
    body: CreateAnalysisRequest,
    response: AnalysisTaskObject,
  },
  listAnalyses: {
    method: 'GET',
    path: '/v1/analyses',
    tag: 'Analyses',
    summary: 'Analyses, newest first',
    query: z.strictObject({
      model: z.string().optional().describe('Of this model only, as it was named.'),
      run: z.string().optional().describe('Of checkpoints and results of this run only.'),
      kind: z.enum(['weights', 'canaries']).optional().describe('Of this kind only.'),
      status: RunStatus.optional(),
      limit: limit(20, 100),
      after,
    }),
    response: listOf(AnalysisTaskObject),
  },
  getAnalysis: {
    method: 'GET',
    path: '/v1/analyses/:id',
    tag: 'Analyses',
    summary: 'One analysis',
    params: id,
    response: AnalysisTaskObject,
  },
  cancelAnalysis: {
    method: 'POST',
    path: '/v1/analyses/:id/cancel',
    tag: 'Analyses',
    summary: 'Cancel an analysis; the rows that are measured stay',
    params: id,
    response: AnalysisTaskObject,
  },
  listAnalysisRows: {
    method: 'GET',
    path: '/v1/analyses/:id/rows',
    tag: 'Analyses',
    summary: 'What was measured of each layer or canary, in their order',
    params: id,
    query: z.strictObject({
      include: z
        .literal('singular_values')
        .optional()
        .describe('`singular_values`: of each update, all of them; a page then has at most 100 rows.'),
      limit: limit(100, 1000),
      after: inQuery(z.int().min(0)).optional().describe('`index` of the last row of the page before.'),
    }),
    response: z.object({ object: z.literal('list'), data: z.array(AnalysisRow), has_more: z.boolean() }),
  },
  getRunAnalyses: {
    method: 'GET',
    path: '/v1/runs/:id/analyses',
    tag: 'Analyses',
    summary: 'What analyses measured of a run: over its checkpoints and over its layers, beside the controls',
    params: id,
    query: z.strictObject({
      kind: z.enum(['weights', 'canaries']).default('weights').describe('What was measured. Default `weights`.'),
      analysis: z
        .string()
        .optional()
        .describe(
          'Id of an analysis: those with its settings. Default: the settings that measured the most checkpoints.',
        ),
      format: format('csv', 'svg', 'md'),
    }),
    response: AnalysisCourse,
    formats: typesOf('csv', 'svg', 'md'),
  },
  listAnalysisEvents: {
    method: 'GET',
    path: '/v1/analyses/:id/events',
    tag: 'Analyses',
    summary: 'Events of an analysis, newest first',
    params: id,
    query: z.strictObject({ limit: limit(20, 100), after }),
    response: listOf(EventObject),
  },
});
