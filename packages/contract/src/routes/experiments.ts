import { z } from 'zod';
import {
  ExperimentCurves,
  ExperimentFrontier,
  ExperimentReport,
  ExperimentTable,
  ExperimentVerdict,
  ResultMetric,
} from '../experiments/results/objects.js';
import { ExperimentRequest, GrowExperimentRequest } from '../experiments/spec.js';
import { ExperimentObject, ExperimentStatus, ExperimentSummary, listOf } from '../objects/index.js';
import { after, format, id, inQuery, limit, table, typesOf } from './route.js';

const metric = ResultMetric.optional().describe(
  'What tells how much was learned. Default: of a table exact match where the test rows have answers, loss otherwise; of the plane loss.',
);

export const EXPERIMENT_ROUTES = table({
  createExperiment: {
    method: 'POST',
    path: '/v1/experiments',
    tag: 'Experiments',
    summary: 'Compare arms under one budget; the same request under its name returns the experiment that there is',
    body: ExperimentRequest,
    response: ExperimentObject,
  },
  listExperiments: {
    method: 'GET',
    path: '/v1/experiments',
    tag: 'Experiments',
    summary: 'List experiments, newest first',
    query: z.strictObject({ limit: limit(20, 100), after, status: ExperimentStatus.optional() }),
    response: listOf(ExperimentSummary),
  },
  getExperiment: {
    method: 'GET',
    path: '/v1/experiments/:id',
    tag: 'Experiments',
    summary: 'One experiment: its arms, its runs, and what was chosen',
    params: id,
    response: ExperimentObject,
  },
  getExperimentTable: {
    method: 'GET',
    path: '/v1/experiments/:id/table',
    tag: 'Experiments',
    summary: 'What each arm learned and kept, with intervals over the seeds, and why arms are not comparable',
    params: id,
    query: z.strictObject({ metric, format: format('csv', 'md') }),
    response: ExperimentTable,
    formats: typesOf('csv', 'md'),
  },
  getExperimentCurves: {
    method: 'GET',
    path: '/v1/experiments/:id/curves',
    tag: 'Experiments',
    summary: 'Scores over steps, a line a seed with the mean, and validation loss over learning rates',
    params: id,
    query: z.strictObject({ format: format('csv', 'svg') }),
    response: ExperimentCurves,
    formats: typesOf('csv', 'svg'),
  },
  getExperimentFrontier: {
    method: 'GET',
    path: '/v1/experiments/:id/frontier',
    tag: 'Experiments',
    summary:
      'The plane of learning and keeping with its Pareto front, and how well KL to the base foretells forgetting',
    params: id,
    query: z.strictObject({ metric, format: format('csv', 'svg', 'md') }),
    response: ExperimentFrontier,
    formats: typesOf('csv', 'svg', 'md'),
  },
  getExperimentReport: {
    method: 'GET',
    path: '/v1/experiments/:id/report',
    tag: 'Experiments',
    summary: 'The methods text with every setting, the tables, what held and what did not, in Markdown',
    params: id,
    query: z.strictObject({ metric, format: format('md') }),
    response: ExperimentReport,
    formats: typesOf('md'),
  },
  getExperimentVerdict: {
    method: 'GET',
    path: '/v1/experiments/:id/verdict',
    tag: 'Experiments',
    summary:
      'What to use of all that was trained, by validation rows, and what it gained on test rows; or that nothing is better than the base',
    params: id,
    query: z.strictObject({
      metric,
      keep: inQuery(z.number().min(0))
        .optional()
        .describe('Bits per byte that may be forgotten on source rows. Default: any.'),
    }),
    response: ExperimentVerdict,
  },
  growExperiment: {
    method: 'POST',
    path: '/v1/experiments/:id/grow',
    tag: 'Experiments',
    summary: 'Add arms and seeds, or let a search go on; runs that there are count',
    params: id,
    body: GrowExperimentRequest,
    response: ExperimentObject,
  },
  pauseExperiment: {
    method: 'POST',
    path: '/v1/experiments/:id/pause',
    tag: 'Experiments',
    summary: 'Start no more runs and pause those that there are',
    params: id,
    response: ExperimentObject,
  },
  resumeExperiment: {
    method: 'POST',
    path: '/v1/experiments/:id/resume',
    tag: 'Experiments',
    summary: 'Go on with a paused experiment, or with one that failed: runs that failed are made again',
    params: id,
    response: ExperimentObject,
  },
  cancelExperiment: {
    method: 'POST',
    path: '/v1/experiments/:id/cancel',
    tag: 'Experiments',
    summary: 'End an experiment and cancel its runs; what they measured stays, and its name is free',
    params: id,
    response: ExperimentObject,
  },
  cloneExperiment: {
    method: 'POST',
    path: '/v1/experiments/:id/clone',
    tag: 'Experiments',
    summary:
      'Start it again with other settings: keys of a request, which replace those of the original; null takes one out',
    params: id,
    body: z.record(z.string(), z.unknown()),
    response: ExperimentObject,
  },
});
