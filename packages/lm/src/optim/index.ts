import type { OptimizerName } from '@moraine/contract';
import { clipByGlobalNorm } from './clip.js';
import { decoupledDecay } from './decay.js';
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
  /** Gradients are scaled down to this global norm; 0 is off. */
  maxGradNorm: number;
}

const RULES: Record<OptimizerName, (options: OptimizerOptions) => Optimizer> = rules;

/** The named rule behind clipping and decay. */
export function createOptimizer(options: OptimizerOptions): Optimizer {
  const { type, maxGradNorm, weightDecay } = options;
  const links: Link[] = [];
  if (maxGradNorm > 0) links.push(clipByGlobalNorm(maxGradNorm));
  if (weightDecay > 0) links.push(decoupledDecay(weightDecay));
  return chain(links, RULES[type](options));
}
