import type { ExperimentObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { createExperiment } from './create-experiment.js';
import { differencesOf } from './differences.js';
import { requireExperiment } from './experiment-row.js';

/**
 * Starts an experiment again with other settings and says which differ. `changes` are keys of a request: objects are merged, lists and values
 * replace, null takes a key out. Without a name the clone has that of the original with `copy` behind it.
 * @throws AppError as `createExperiment` does.
 */
export async function cloneExperiment(
  s: Services,
  actor: Actor,
  id: string,
  changes: Record<string, unknown>,
): Promise<ExperimentObject> {
  const { request } = await requireExperiment(s, actor, id);
  const named = { name: `${request.name} copy`.slice(0, 64), ...changes };
  const clone = await createExperiment(s, actor, merge(request, named), id);
  return { ...clone, differences: differencesOf(request, clone.request) };
}

type Tree = Record<string, unknown>;
const isTree = (value: unknown): value is Tree => typeof value === 'object' && value !== null && !Array.isArray(value);

function merge(before: unknown, change: unknown): unknown {
  if (!isTree(before) || !isTree(change)) return change;
  const kept = Object.entries(before).filter(([key]) => change[key] !== null);
  const changed = Object.entries(change).flatMap(([key, value]) =>
    value === null ? [] : [[key, merge(before[key], value)] as const],
  );
  return Object.fromEntries([...kept, ...changed]);
}
