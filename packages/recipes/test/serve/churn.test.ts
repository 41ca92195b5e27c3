import { expect, test } from 'vitest';
import { reuseName, twoTenants } from './churn.js';

// `npm run soak:serve` does the same with 10,000 and 20,000 requests.

test('a name that is given to another adapter never answers by the one before', async () => {
  expect(await reuseName(500)).toEqual({ requests: 500, wrong: 0, changes: 50 });
});

test('tenants whose adapters have equal names never get tokens of each other’s', async () => {
  const { requests, wrong, changes } = await twoTenants(500);
  expect([requests, wrong]).toEqual([500, 0]);
  expect(changes).toBeGreaterThan(50);
});
