import type { ExperimentStatus } from '@moraine/contract';

/** Whether nothing happens to it any more by itself. */
export const isOver = (status: ExperimentStatus): boolean => status !== 'running' && status !== 'paused';
