/** Longer words are no names: to compare them would take time in proportion to the product of their letters. */
const LETTERS_MAX = 256;

/**
 * Edits (insert, delete, replace, swap of neighbours) between two words; the optimal string alignment distance. Infinite where one of them is
 * longer than a name may be.
 */
export function editDistance(a: string, b: string): number {
  if (Math.max(a.length, b.length) > LETTERS_MAX) return Number.POSITIVE_INFINITY;
  let before: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = (above[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let best = Math.min((above[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, replace);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, (before[j - 2] ?? 0) + 1);
      row.push(best);
    }
    before = above;
    above = row;
  }
  return above[b.length] ?? 0;
}

/** A name is not meant where more of it differs. */
const editsMax = (name: string): number => Math.max(2, Math.floor(name.length / 2));

/** The valid name nearest to what was typed, or null when none is near enough to be meant (more than half the letters differ). */
export function nearest(typed: string, valid: readonly string[]): string | null {
  let best: string | null = null;
  let distanceMin = Number.POSITIVE_INFINITY;
  if (typed.length > LETTERS_MAX) return null;
  for (const name of valid) {
    if (Math.abs(typed.length - name.length) > editsMax(name)) continue;
    const distance = editDistance(typed.toLowerCase(), name.toLowerCase());
    // Of two that are equally near, the one that was typed whole, with something behind it.
    if (distance < distanceMin || (distance === distanceMin && typed.startsWith(name))) {
      distanceMin = distance;
      best = name;
    }
  }
  return best !== null && distanceMin <= editsMax(best) ? best : null;
}
