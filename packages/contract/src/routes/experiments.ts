import { z } from 'zod';
import { ExperimentRequest, GrowExperimentRequest } from '../experiments/spec.js';
import { ExperimentObject, ExperimentStatus, ExperimentSummary, listOf } from '../objects/index.js';
import { after, id, limit, table } from './route.js';

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
