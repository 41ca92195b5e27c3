import { parseArgs } from 'node:util';
import { reuseName, twoTenants } from '../../packages/recipes/test/serve/churn.js';

const { values } = parseArgs({ options: { short: { type: 'boolean', default: false } } });
const [names, tenants] = values.short ? [500, 500] : [10_000, 20_000];

for (const [what, run, requests] of [
  ['one name, re-used', reuseName, names],
  ['two tenants, equal names', twoTenants, tenants],
] as const) {
  const begun = performance.now();
  const { wrong, changes } = await run(requests);
  const seconds = ((performance.now() - begun) / 1_000).toFixed(0);
  console.log(`${what}: ${requests} requests, ${changes} changes, ${wrong} wrong, ${seconds} s`);
  if (wrong > 0) process.exitCode = 1;
}
