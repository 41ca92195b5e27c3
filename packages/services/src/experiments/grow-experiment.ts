import { AppError, type ExperimentObject, parse } from '@moraine/contract';
import { type ExperimentSpec, GrowExperimentRequest, type Search } from '@moraine/contract/experiments';
import type { z } from 'zod';
import type { Actor, Services } from '../ground/context.js';
import type { Prisma } from '../ground/db.js';
import { advanceExperiment } from './advance.js';
import { updateExperiment } from './change-experiment.js';
import { requireExperiment } from './experiment-row.js';
import { getExperiment } from './get-experiment.js';
import { prepareExperiment } from './prepare-experiment.js';

/**
 * Adds arms and seeds, or lets a bracket search try more rates. The runs that there are count; one that has ended goes on.
 * @throws AppError `conflict` for one that was cancelled; `invalid_value` for what is there already, and as `createExperiment` does.
 */
export async function growExperiment(s: Services, actor: Actor, id: string, body: unknown): Promise<ExperimentObject> {
  const growth = parse(GrowExperimentRequest, body);
  const row = await requireExperiment(s, actor, id);
  if (row.status === 'cancelled')
    throw new AppError('conflict', `${id} has been cancelled and cannot grow.`, { param: 'id', hint: 'Clone it.' });
  const grown = await prepareExperiment(s, actor, growSpec(row.request, growth), row.templateDate);
  if (grown.base.id !== row.baseId)
    throw new AppError('conflict', `'${row.request.model}' is another base now than when ${id} began.`, {
      param: 'model',
      hint: 'Clone the experiment: its runs must share a base.',
    });
  const isOver = row.status === 'succeeded' || row.status === 'failed';
  await updateExperiment(s, row, {
    request: grown.spec as unknown as Prisma.InputJsonObject,
    plan: grown.plan as unknown as Prisma.InputJsonObject,
    ...(isOver ? { status: 'running', reason: null, finishedAt: null } : {}),
  });
  await advanceExperiment(s, id);
  return getExperiment(s, actor, id);
}

function growSpec(
  spec: ExperimentSpec,
  { arms, seeds, max_runs }: z.output<typeof GrowExperimentRequest>,
): ExperimentSpec {
  if (arms.length === 0 && seeds.length === 0 && max_runs === undefined)
    throw new AppError('invalid_request', 'There is nothing to add.', { hint: 'Give arms, seeds or max_runs.' });
  const again = seeds.find((seed) => spec.seeds.final.includes(seed));
  if (again !== undefined)
    throw new AppError('invalid_value', `'seeds' names ${again}, which the experiment has.`, {
      param: 'seeds',
      hint: `It has ${spec.seeds.final.join(', ')}.`,
    });
  const searches = [...spec.arms, ...arms].map(({ learning_rates: own }) => own ?? spec.search);
  if (max_runs !== undefined && !searches.some((own) => !Array.isArray(own) && own.type === 'bracket'))
    throw new AppError('invalid_value', `'max_runs' is ${max_runs}, but no arm has a bracket search.`, {
      param: 'max_runs',
      hint: 'A grid, a random search and one by rungs try the rates that they have: clone the experiment with others.',
    });
  const raise = (search: Search): Search =>
    search.type === 'bracket' && max_runs !== undefined ? { ...search, max_runs } : search;
  return {
    ...spec,
    arms: [...spec.arms, ...arms].map((arm) => {
      const own = arm.learning_rates;
      return own === undefined || Array.isArray(own) ? arm : { ...arm, learning_rates: raise(own) };
    }),
    seeds: { ...spec.seeds, final: [...spec.seeds.final, ...seeds] },
    search: raise(spec.search),
  };
}
