import {
  cancelExperiment,
  cloneExperiment,
  createExperiment,
  getExperiment,
  growExperiment,
  listExperiments,
  pauseExperiment,
  resumeExperiment,
} from '@moraine/services';
import type { Handlers } from './bind.js';

export const experimentHandlers: Handlers<
  | 'createExperiment'
  | 'listExperiments'
  | 'getExperiment'
  | 'growExperiment'
  | 'pauseExperiment'
  | 'resumeExperiment'
  | 'cancelExperiment'
  | 'cloneExperiment'
> = {
  createExperiment: ({ s, actor, body }) => createExperiment(s, actor, body),
  listExperiments: ({ s, actor, query }) => listExperiments(s, actor, query),
  getExperiment: ({ s, actor, params }) => getExperiment(s, actor, params.id),
  growExperiment: ({ s, actor, params, body }) => growExperiment(s, actor, params.id, body),
  pauseExperiment: ({ s, actor, params }) => pauseExperiment(s, actor, params.id),
  resumeExperiment: ({ s, actor, params }) => resumeExperiment(s, actor, params.id),
  cancelExperiment: ({ s, actor, params }) => cancelExperiment(s, actor, params.id),
  cloneExperiment: ({ s, actor, params, body }) => cloneExperiment(s, actor, params.id, body),
};
