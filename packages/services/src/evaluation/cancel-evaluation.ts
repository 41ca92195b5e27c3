import type { EvaluationTaskObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { cancelTask } from '../work/cancel-task.js';
import { getEvaluation } from './get-evaluation.js';

/** Ends an evaluation (`cancelTask`); the items that are stored stay. @throws AppError `conflict` for one that has ended. */
export function cancelEvaluation(s: Services, actor: Actor, id: string): Promise<EvaluationTaskObject> {
  return cancelTask(s, actor, id, 'evaluate', () => getEvaluation(s, actor, id));
}
