import type { LinearShape } from '../architectures/tensor.js';
import { AppError } from '../errors.js';
import { nearest } from '../suggest.js';

export interface TargetMatch {
  /** The layers that get an adapter, in the model's order. */
  matched: LinearShape[];
  /** Patterns that matched no layer. */
  unmatchedPatterns: string[];
}

/** Which layers the patterns name: a pattern is a full path, the end of one (`q_proj`, `self_attn.q_proj`), or `all-linear`. */
export function findTargets(shapes: readonly LinearShape[], targets: readonly string[] | 'all-linear'): TargetMatch {
  if (targets === 'all-linear') return { matched: [...shapes], unmatchedPatterns: [] };
  const names = (pattern: string, path: string) => path === pattern || path.endsWith(`.${pattern}`);
  return {
    matched: shapes.filter(({ name }) => targets.some((pattern) => pattern === 'all-linear' || names(pattern, name))),
    unmatchedPatterns: targets.filter(
      (pattern) => pattern !== 'all-linear' && !shapes.some(({ name }) => names(pattern, name)),
    ),
  };
}

/**
 * As findTargets, but every pattern must match.
 * @throws AppError `no_target_matched` naming the pattern and the nearest name that exists.
 */
export function matchTargets(shapes: readonly LinearShape[], targets: readonly string[] | 'all-linear'): TargetMatch {
  const match = findTargets(shapes, targets);
  const [missing] = match.unmatchedPatterns;
  if (missing !== undefined) {
    const leaves = [...new Set(shapes.map(({ name }) => name.slice(name.lastIndexOf('.') + 1)))];
    const near =
      nearest(missing, leaves) ??
      nearest(
        missing,
        shapes.map(({ name }) => name),
      );
    throw new AppError('no_target_matched', `No linear layer is called '${missing}'.`, {
      param: 'adapter.target_modules',
      hint:
        near === null
          ? `Layers of this model end in ${leaves.join(', ')}.`
          : `Did you mean '${near}'? Layers end in ${leaves.join(', ')}.`,
    });
  }
  if (match.matched.length === 0) {
    throw new AppError('no_target_matched', 'The list of target modules is empty.', {
      param: 'adapter.target_modules',
      hint: "Name at least one layer, or write 'all-linear'.",
    });
  }
  return match;
}
