/**
 * Compares differences with those that a page names: what stands in backticks at the beginning of a row of a table, `*` for anything. Answers the
 * ones that no row names, and the rows that name none.
 */
export function matchNamed(differences: readonly string[], page: string): { unnamed: string[]; gone: string[] } {
  const rows = [...page.matchAll(/^\| `([^`]+)` \|/gm)].map(([, row = '']) => ({ row, pattern: patternOf(row) }));
  return {
    unnamed: differences.filter((line) => !rows.some(({ pattern }) => pattern.test(line))),
    gone: rows.filter(({ pattern }) => !differences.some((line) => pattern.test(line))).map(({ row }) => row),
  };
}

const patternOf = (row: string): RegExp =>
  new RegExp(`^${row.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll('\\*', '.*')}$`);
