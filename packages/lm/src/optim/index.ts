import type { OptimizerName } from '@moraine/contract';
import { clipByGlobalNorm } from './clip.js';
import { decoupledDecay, scheduledDecay } from './decay.js';
import { chain, type Link, type Optimizer } from './optimizer.js';
import * as rules from './rules.js';

/** An optimiser by name and numbers, as a run's configuration has it. */
export interface OptimizerOptions {
  type: OptimizerName;
  beta1: number;
  beta2: number;
  /** Unused by rules without a second moment. */
  eps: number;
  /** Decoupled, on matrices; 0 is off. */
  weightDecay: number;
  /** The schedule's peak, where decay is weightDecay · rate / peak; absent: it is weightDecay · rate. */
  decayPeak?: number | undefined;
  /** Gradients are scaled down to this global norm; 0 is off. */
  maxGradNorm: number;
}

const RULES: Record<OptimizerName, (options: OptimizerOptions) => Optimizer> = rules;

/** The named rule behind clipping and decay. */
export function createOptimizer(options: OptimizerOptions): Optimizer {
  const { type, maxGradNorm, weightDecay, decayPeak } = options;
  const links: Link[] = [];
  if (maxGradNorm > 0) links.push(clipByGlobalNorm(maxGradNorm));
  if (weightDecay > 0)
    links.push(decayPeak === undefined ? decoupledDecay(weightDecay) : scheduledDecay(weightDecay, decayPeak));
  return chain(links, RULES[type](options));
}
