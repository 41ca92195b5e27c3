import type { EvaluationTaskObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { taskNotFound } from '../work/require-task.js';
import { readEvaluations } from './read-evaluations.js';

/** One evaluation. @throws AppError `not_found`. */
export async function getEvaluation(s: Services, actor: Actor, id: string): Promise<EvaluationTaskObject> {
  const [evaluation] = await readEvaluations(s, { id, projectId: actor.projectId });
  if (!evaluation) throw taskNotFound(id, 'evaluate');
  return evaluation;
}
