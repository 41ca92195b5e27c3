import { AppError, type TaskKind } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import type { TaskModel } from '../ground/generated/models.js';

/** Kinds of tasks that callers know by id. */
export type WireKind = Exclude<TaskKind, 'verify'>;

const WORDS = {
  train: { noun: 'run', title: 'fine-tuning job', param: 'fine_tuning_job_id', list: '/v1/fine_tuning/jobs' },
  evaluate: { noun: 'evaluation', title: 'evaluation', param: 'evaluation_id', list: '/v1/evaluations' },
  analyse: { noun: 'analysis', title: 'analysis', param: 'analysis_id', list: '/v1/analyses' },
} as const satisfies Record<WireKind, object>;

/** How a task of a kind is spoken of. */
export const wordsOf = (kind: WireKind): (typeof WORDS)[WireKind] => WORDS[kind];

/**
 * The row of a task of the caller's project: of this kind, or of any where none is named.
 * @throws AppError `not_found`, also for tasks of other projects.
 */
export async function requireTask(s: Services, actor: Actor, taskId: string, kind?: WireKind): Promise<TaskModel> {
  const task = await s.db.task.findFirst({
    where: { id: taskId, projectId: actor.projectId, deletedAt: null, ...(kind ? { kind } : {}) },
  });
  if (!task) throw taskNotFound(taskId, kind);
  return task;
}

export function taskNotFound(taskId: string, kind: WireKind = 'train'): AppError {
  const { title, param, list } = wordsOf(kind);
  return new AppError('not_found', `No ${title} '${taskId}'.`, { param, hint: `GET ${list} lists yours.` });
}
