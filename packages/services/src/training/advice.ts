import type { Advice, RunConfig } from '@moraine/contract';
import { adviseMode } from '@moraine/contract/plan';
import type { Services } from '../ground/context.js';
import type { BaseModel } from '../ground/generated/models.js';
import { presentWorkers } from '../work/present-workers.js';

/**
 * What is known to be faster for a run on every worker that may take it, by the bfloat16 instructions of each; empty where nothing is, or
 * where no worker is.
 */
export function advise(config: RunConfig, parameters: number, bfloat16: readonly (string | null)[]): Advice[] {
  if (config.mode !== 'plain') return [];
  const [first = null] = bfloat16.includes(null) ? [] : bfloat16;
  const advice = adviseMode(config, parameters, first);
  return advice ? [advice] : [];
}

/** The same for the workers of a pool. */
export async function adviceFor(
  s: Services,
  pool: string,
  config: RunConfig,
  { parameters }: Pick<BaseModel, 'parameters'>,
): Promise<Advice[]> {
  const workers = await presentWorkers(s, pool);
  const sets = workers.map(({ device }) => (device as { bfloat16?: string | null }).bfloat16 ?? null);
  return advise(config, Number(parameters), sets);
}
