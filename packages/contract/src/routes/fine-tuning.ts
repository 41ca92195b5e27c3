import { z } from 'zod';
import { Estimate } from '../before-run.js';
import { CheckpointObject, EventObject, ListedRun, listOf, RunObject } from '../objects/index.js';
import { CreateRunRequest } from '../run-request.js';
import { RunStatus } from '../states.js';
import { after, id, limit, metadata, table } from './route.js';

export const FINE_TUNING_ROUTES = table({
  createRun: {
    method: 'POST',
    path: '/v1/fine_tuning/jobs',
    tag: 'Fine-tuning',
    summary: 'Queue a fine-tuning run',
    body: CreateRunRequest,
    response: RunObject,
  },
  estimateRun: {
    method: 'POST',
    path: '/v1/fine_tuning/estimate',
    tag: 'Fine-tuning',
    summary: 'Memory and time of a run before it starts; the body is that of a run, nothing is queued',
    body: CreateRunRequest,
    response: Estimate,
  },
  listRuns: {
    method: 'GET',
    path: '/v1/fine_tuning/jobs',
    tag: 'Fine-tuning',
    summary: 'List runs, newest first, without their configurations; filter with metadata[key]=value',
    query: z.strictObject({
      limit: limit(20, 100),
      after,
      status: RunStatus.optional(),
      metadata: metadata.optional(),
    }),
    response: listOf(ListedRun),
  },
  getRun: {
    method: 'GET',
    path: '/v1/fine_tuning/jobs/:id',
    tag: 'Fine-tuning',
    summary: 'One run',
    params: id,
    response: RunObject,
  },
  cancelRun: {
    method: 'POST',
    path: '/v1/fine_tuning/jobs/:id/cancel',
    tag: 'Fine-tuning',
    summary: 'Cancel a run',
    params: id,
    response: RunObject,
  },
  pauseRun: {
    method: 'POST',
    path: '/v1/fine_tuning/jobs/:id/pause',
    tag: 'Fine-tuning',
    summary: 'Pause a run: a running one saves a checkpoint at its next step and stops, uncharged',
    params: id,
    response: RunObject,
  },
  resumeRun: {
    method: 'POST',
    path: '/v1/fine_tuning/jobs/:id/resume',
    tag: 'Fine-tuning',
    summary: 'Put a paused run back into the queue; it goes on from its last checkpoint, to the bit',
    params: id,
    response: RunObject,
  },
  listRunEvents: {
    method: 'GET',
    path: '/v1/fine_tuning/jobs/:id/events',
    tag: 'Fine-tuning',
    summary: 'Events of a run, newest first',
    params: id,
    query: z.strictObject({ limit: limit(20, 100), after }),
    response: listOf(EventObject),
  },
  listRunCheckpoints: {
    method: 'GET',
    path: '/v1/fine_tuning/jobs/:id/checkpoints',
    tag: 'Fine-tuning',
    summary: 'Checkpoints of a run, newest first',
    params: id,
    query: z.strictObject({ limit: limit(10, 100), after }),
    response: listOf(CheckpointObject),
  },
});
