import { estimateMemory, type MemoryEstimate, parseModelConfig, type RunShapes } from '@moraine/contract/plan';
import type { Services } from '../ground/context.js';
import { presentWorkers } from '../work/present-workers.js';
import type { Prepared } from './prepare-run.js';

/** The least that a run computes at once, whatever its rows are. */
const LEAST: RunShapes = { training: [{ batch: 1, time: 8 }], evaluation: [], generation: null };

/** The memory that a run needs even row by row. */
export const leastMemory = (base: Pick<Prepared['base'], 'config'>, config: Prepared['config']): MemoryEstimate =>
  estimateMemory(parseModelConfig(base.config), config, LEAST);

const gigabytes = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

/**
 * A sentence where a run cannot fit into any worker of its pool that is there, even row by row; null where one may take it, or where no
 * worker is there to tell. A larger worker may come, so the run is queued all the same.
 */
export async function tooLargeForAll(
  s: Services,
  pool: string,
  { base, config }: Pick<Prepared, 'base' | 'config'>,
): Promise<string | null> {
  const workers = await presentWorkers(s, pool);
  const largest = workers.reduce((most, { memoryBytes }) => Math.max(most, Number(memoryBytes)), 0);
  const { total_bytes: least, parts } = leastMemory(base, config);
  if (workers.length === 0 || least <= largest) return null;
  return `The run needs at least ${gigabytes(least)} of memory (${gigabytes(parts.weights)} for the weights of ${base.name}, ${gigabytes(parts.trained)} for what is trained), but the largest worker of pool '${pool}' has ${gigabytes(largest)}. Start a larger worker, train fewer numbers, or take a smaller base.`;
}
