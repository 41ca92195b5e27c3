import {
  cancelRun,
  createRun,
  estimateRun,
  getRun,
  listCheckpoints,
  listEvents,
  listRuns,
  pauseRun,
  resumeRun,
} from '@moraine/services';
import type { Handlers } from './bind.js';
import { repeatableOf } from './repeatable.js';

export const fineTuningHandlers: Handlers<
  | 'createRun'
  | 'estimateRun'
  | 'listRuns'
  | 'getRun'
  | 'cancelRun'
  | 'pauseRun'
  | 'resumeRun'
  | 'listRunEvents'
  | 'listRunCheckpoints'
> = {
  createRun: ({ s, actor, body, request }) => createRun(s, actor, body, repeatableOf(request)),
  estimateRun: ({ s, actor, body }) => estimateRun(s, actor, body),
  listRuns: ({ s, actor, query }) => listRuns(s, actor, query),
  getRun: ({ s, actor, params }) => getRun(s, actor, params.id),
  cancelRun: ({ s, actor, params }) => cancelRun(s, actor, params.id),
  pauseRun: ({ s, actor, params }) => pauseRun(s, actor, params.id),
  resumeRun: ({ s, actor, params }) => resumeRun(s, actor, params.id),
  listRunEvents: ({ s, actor, params, query }) => listEvents(s, actor, params.id, query),
  listRunCheckpoints: ({ s, actor, params, query }) => listCheckpoints(s, actor, params.id, query),
};
