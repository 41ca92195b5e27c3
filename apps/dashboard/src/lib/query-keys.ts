import type { RunFilter } from './run-filter.js';

/** Every cache key of the dashboard, in one place. */
export const keys = {
  runs: (filter: RunFilter) => ['runs', filter.status, filter.metadata] as const,
  runsHead: (filter: RunFilter) => ['runs-head', filter.status, filter.metadata] as const,
  runsRunning: () => ['runs-running'] as const,
  run: (id: string) => ['run', id] as const,
  events: (id: string) => ['run', id, 'events'] as const,
  checkpoints: (id: string) => ['run', id, 'checkpoints'] as const,
  evaluations: (id: string) => ['run', id, 'evaluations'] as const,
  detail: (id: string, from: number, to: number) => ['run', id, 'metrics', from, to] as const,
  logs: (id: string, attempt: number) => ['run', id, 'logs', attempt] as const,
  workers: () => ['workers'] as const,
};
