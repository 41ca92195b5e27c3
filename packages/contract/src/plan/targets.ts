import type { LinearShape } from '../architectures/tensor.js';
import { AppError } from '../errors.js';
import { nearest } from '../suggest.js';

export interface TargetMatch {
  /** The layers that get an adapter, in the model's order. */
  matched: LinearShape[];
  /** Patterns that matched no layer. */
  unmatchedPatterns: string[];
}

/**
 * Which layers the patterns name: a pattern is a full path or words of one that follow each other (`q_proj`, `mlp`, `layers.3.self_attn`), with
 * `*` for any letters of a word and `[2-5]` for the numbers of a range, or `all-linear`.
 */
export function findTargets(shapes: readonly LinearShape[], targets: readonly string[] | 'all-linear'): TargetMatch {
  const patterns = targets === 'all-linear' ? [targets] : targets;
  const tests = patterns.map((pattern) => (pattern === 'all-linear' ? () => true : pathTest(pattern)));
  return {
    matched: shapes.filter(({ name }) => tests.some((names) => names(name))),
    unmatchedPatterns: patterns.filter((_, i) => !shapes.some(({ name }) => tests[i]?.(name))),
  };
}

/** Whether the words of a pattern follow each other in a path; see `findTargets`. */
export function pathTest(pattern: string): (path: string) => boolean {
  const words = pattern.split('.').map((word) => new RegExp(`^${wordExpression(word)}$`));
  return (path) => {
    const parts = path.split('.');
    const namesFrom = (first: number) => words.every((word, i) => word.test(parts[first + i] ?? ''));
    return parts.some((_, first) => first + words.length <= parts.length && namesFrom(first));
  };
}

const RANGE_MAX = 1000;

function wordExpression(word: string): string {
  return word.replace(/\[(\d+)-(\d+)\]|\*+|[^\w*]/g, (found, from?: string, to?: string) => {
    if (from === undefined || to === undefined) return found.startsWith('*') ? '.*' : `\\${found}`;
    const count = Math.min(RANGE_MAX, Math.max(0, Number(to) - Number(from) + 1));
    return `(?:${Array.from({ length: count }, (_, i) => Number(from) + i).join('|') || '(?!)'})`;
  });
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
