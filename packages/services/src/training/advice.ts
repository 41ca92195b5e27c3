import type { Advice, RunConfig } from '@moraine/contract';
import { adviseMode } from '@moraine/contract/plan';
import type { Services } from '../ground/context.js';
import type { BaseModel } from '../ground/generated/models.js';
import { presentWorkers } from '../work/present-workers.js';

/** What is known to be faster for a run on every worker that may take it; empty where nothing is, or where no worker is. */
export async function adviceFor(
  s: Services,
  pool: string,
  config: RunConfig,
  { parameters }: Pick<BaseModel, 'parameters'>,
): Promise<Advice[]> {
  if (config.mode !== 'plain') return [];
  const workers = await presentWorkers(s, pool);
  const sets = workers.map(({ device }) => (device as { bfloat16?: string | null }).bfloat16 ?? null);
  const [first = null] = sets.includes(null) ? [] : sets;
  const advice = adviseMode(config, Number(parameters), first);
  return advice ? [advice] : [];
}
