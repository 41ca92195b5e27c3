import type { AnalysisTaskObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { cancelTask } from '../work/cancel-task.js';
import { getAnalysis } from './get-analysis.js';

/** Ends an analysis (`cancelTask`); the rows that are stored stay. @throws AppError `conflict` for one that has ended. */
export function cancelAnalysis(s: Services, actor: Actor, id: string): Promise<AnalysisTaskObject> {
  return cancelTask(s, actor, id, 'analyse', () => getAnalysis(s, actor, id));
}
