import type { ExperimentDifference } from '@moraine/contract';

/** The settings in which two requests differ, by their paths: `fixed.batch_size`, `arms[2].adapter.rank`. */
export function differencesOf(before: unknown, after: unknown, path = ''): ExperimentDifference[] {
  if (!isTree(before) || !isTree(after) || Array.isArray(before) !== Array.isArray(after)) {
    const isSame = (before ?? null) === (after ?? null);
    return isSame ? [] : [{ key: path, before: before ?? null, after: after ?? null }];
  }
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  // Stored documents forget the order of their keys.
  if (!Array.isArray(before)) keys.sort();
  return keys.flatMap((key) => {
    const at = Array.isArray(before) ? `${path}[${key}]` : path ? `${path}.${key}` : key;
    return differencesOf(before[key], after[key], at);
  });
}

type Tree = Record<string, unknown>;
const isTree = (value: unknown): value is Tree => typeof value === 'object' && value !== null;

/** Their paths in a sentence. */
export function keysOf(differences: readonly ExperimentDifference[]): string {
  const keys = differences.map(({ key }) => `'${key}'`);
  return keys.length > 5 ? `${keys.slice(0, 5).join(', ')} and ${keys.length - 5} more` : keys.join(', ');
}
