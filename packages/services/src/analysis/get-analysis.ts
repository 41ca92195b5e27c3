import type { AnalysisTaskObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { taskNotFound } from '../work/require-task.js';
import { readAnalyses } from './read-analyses.js';

/** One analysis. @throws AppError `not_found`. */
export async function getAnalysis(s: Services, actor: Actor, id: string): Promise<AnalysisTaskObject> {
  const [analysis] = await readAnalyses(s, { id, projectId: actor.projectId });
  if (!analysis) throw taskNotFound(id, 'analyse');
  return analysis;
}
