import { AppError } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import type { TaskModel } from '../ground/generated/models.js';

/** The row of a task of the caller's project. @throws AppError `not_found`, also for tasks of other projects. */
export async function requireTask(s: Services, actor: Actor, taskId: string): Promise<TaskModel> {
  const task = await s.db.task.findFirst({ where: { id: taskId, projectId: actor.projectId, deletedAt: null } });
  if (!task) throw taskNotFound(taskId);
  return task;
}

/** The wire has one kind of task. */
export const taskNotFound = (taskId: string): AppError =>
  new AppError('not_found', `No fine-tuning job '${taskId}'.`, {
    param: 'fine_tuning_job_id',
    hint: 'GET /v1/fine_tuning/jobs lists yours.',
  });
