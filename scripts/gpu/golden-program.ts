/**
 * PyTorch's fixtures on this device, in one numeric mode: the evaluation, ten losses and gradient norms of every row, and the trained
 * variables afterwards, as packages/lm/test/golden.test.ts looks at them, which a bundle cannot run. Argument: {mode}.
 */
import type { NumericMode } from '@moraine/contract';
import { goldenOf, goldenRows } from '../../packages/lm/test/golden-set.js';
import { type Distance, distances, runTenSteps } from '../../packages/lm/test/golden-steps.js';

export interface GoldenRow {
  name: string;
  /** From PyTorch, each relative to the largest value. */
  distances: Distance[];
}

const { mode } = JSON.parse(process.argv[2] ?? '{}') as { mode: NumericMode };
const rows: GoldenRow[] = [];
for (const row of goldenRows)
  rows.push({ name: row.name, distances: distances(goldenOf(row), await runTenSteps(row, mode)) });
process.stdout.write(`${JSON.stringify({ rows })}\n`);
