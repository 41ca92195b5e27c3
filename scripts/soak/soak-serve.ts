import { parseArgs } from 'node:util';
import { besideStrangers } from '../../packages/lm/test/strangers.js';
import { reuseName, twoTenants } from '../../packages/recipes/test/serve/churn.js';

const { values } = parseArgs({ options: { short: { type: 'boolean', default: false } } });
const [names, tenants, sampled] = values.short ? [500, 500, 500] : [10_000, 20_000, 100_000];
/** Answers may differ beside others so often, where a draw falls on the edge of two tokens (one in so many tokens). */
const TOKENS_A_DIFFERENCE = 10_000;

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

const begun = performance.now();
const { tokens, different, wrong } = await besideStrangers(sampled);
const seconds = ((performance.now() - begun) / 1_000).toFixed(0);
console.log(`sampled alone and among seven: ${tokens} tokens, ${different} differences, ${wrong} wrong, ${seconds} s`);
if (wrong > 0 || different * TOKENS_A_DIFFERENCE > Math.max(tokens, TOKENS_A_DIFFERENCE)) process.exitCode = 1;
