/**
 * `npm run test:xla -- [--row TEXT …]`: ten steps in mode xla of every method on the first family and of LoRA on all others, against PyTorch's
 * fixtures. XLA compiles each program for seconds, so the suite has LoRA alone, and of two other methods one step's gradients.
 */
import { parseArgs } from 'node:util';
import { XLA } from '../../packages/lm/test/bounds.js';
import { goldenOf, goldenRows, isStepped } from '../../packages/lm/test/golden-set.js';
import { distances, runTenSteps } from '../../packages/lm/test/golden-steps.js';

const { values } = parseArgs({ options: { row: { type: 'string', multiple: true, default: [] } } });
const wanted = goldenRows.filter(
  (row) => isStepped(row) && (values.row.length === 0 || values.row.some((part) => row.name.includes(part))),
);
const worst = new Map<string, number>();
let wrong = 0;
for (const row of wanted) {
  const begun = performance.now();
  const found = distances(goldenOf(row), await runTenSteps(row, 'xla'));
  const over = found.filter(([, value, bound]) => !(value < XLA[bound]));
  for (const [, value, bound] of found) worst.set(bound, Math.max(worst.get(bound) ?? 0, value));
  if (over.length > 0) wrong++;
  const figures = found.map(([what, value]) => `${what} ${value.toExponential(1)}`).join(', ');
  const seconds = ((performance.now() - begun) / 1000).toFixed(1);
  console.log(`${over.length > 0 ? 'WRONG' : 'ok'}  ${row.name.padEnd(32)} ${seconds} s  ${figures}`);
}
const all = [...worst].map(([bound, value]) => `${bound} ${value.toExponential(1)}`).join(', ');
console.log(`${wanted.length - wrong} of ${wanted.length} rows are within the bounds; the largest distances: ${all}`);
process.exitCode = wrong === 0 && wanted.length > 0 ? 0 : 1;
