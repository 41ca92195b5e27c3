import type { BesideTasks, RunConfig } from '@moraine/contract';
import type { Services } from '../ground/context.js';
import { analysisSeconds, evaluationSeconds } from './beside-seconds.js';

/** A list of `evaluation` that asks for tasks, each of some checkpoints. */
interface Asked {
  when: readonly ('before' | 'during' | 'after')[];
}

/**
 * Evaluations by suites and analyses that a run asks for: how many, and what they take by those that the pool has done on its base.
 * @param trainSeconds what its steps take, by which checkpoints by time are counted; null: not known, and one of these is counted
 */
export async function besideTasks(
  s: Services,
  pool: string,
  baseId: string,
  config: Pick<RunConfig, 'steps' | 'checkpoint' | 'evaluation'>,
  trainSeconds: number | null,
): Promise<BesideTasks> {
  const { suites = [], analyses = [] } = config.evaluation;
  const checkpoints = checkpointsOf(config, trainSeconds);
  const count = async <T extends Asked>(all: readonly T[], secondsOf: (one: T) => Promise<number | null>) => {
    let [tasks, seconds]: [number, number | null] = [0, 0];
    for (const one of all) {
      const times = timesOf(one, checkpoints);
      const each = await secondsOf(one);
      tasks += times;
      seconds = seconds === null || each === null ? null : seconds + times * each;
    }
    return { count: tasks, seconds };
  };
  return {
    evaluations: await count(suites, ({ suite }) => evaluationSeconds(s, pool, baseId, suite)),
    analyses: await count(analyses, ({ kind }) => analysisSeconds(s, pool, baseId, kind)),
  };
}

/** Checkpoints that a run saves, the last step's among them. Which are saved as the best too is not known before. */
function checkpointsOf({ steps, checkpoint }: Pick<RunConfig, 'steps' | 'checkpoint'>, trainSeconds: number | null) {
  const { every_steps: every, every_seconds: seconds } = checkpoint;
  if (every > 0) return Math.ceil(steps / every);
  return seconds > 0 && trainSeconds !== null ? Math.floor(trainSeconds / seconds) + 1 : 1;
}

/** The result is one of the checkpoints, and is not done twice. */
function timesOf({ when }: Asked, checkpoints: number): number {
  const ofRun = when.includes('during') ? checkpoints : when.includes('after') ? 1 : 0;
  return ofRun + (when.includes('before') ? 1 : 0);
}
