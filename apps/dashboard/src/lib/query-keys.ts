import type { RunFilter } from './run-filter.js';

/** Every cache key of the dashboard, in one place. */
export const keys = {
  runs: ({ status, text, sort }: RunFilter) => ['runs', status, text.trim(), sort] as const,
  runsHead: ({ status, text, sort }: RunFilter) => ['runs-head', status, text.trim(), sort] as const,
  runsOf: (ids: readonly string[]) => ['runs-of', ...ids] as const,
  run: (id: string) => ['run', id] as const,
  events: (id: string) => ['run', id, 'events'] as const,
  checkpoints: (id: string) => ['run', id, 'checkpoints'] as const,
  evaluations: (id: string) => ['run', id, 'evaluations'] as const,
  analyses: (id: string, kind: string, analysis = '') => ['run', id, 'analyses', kind, analysis] as const,
  detail: (id: string, from: number, to: number) => ['run', id, 'metrics', from, to] as const,
  logs: (id: string, attempt: number) => ['run', id, 'logs', attempt] as const,
  evaluationTasks: (suite = '') => ['evaluations', suite] as const,
  evaluationTask: (id: string) => ['evaluation', id] as const,
  evaluationItems: (id: string, verdict: string) => ['evaluation', id, 'items', verdict] as const,
  evaluationDifference: (id: string, baseline: string) => ['evaluation', id, 'difference', baseline] as const,
  experiments: () => ['experiments'] as const,
  experiment: (id: string) => ['experiment', id] as const,
  experimentResults: (id: string, status: string) => ['experiment', id, 'results', status] as const,
  workers: () => ['workers'] as const,
};
