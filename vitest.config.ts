import { defineConfig } from 'vitest/config';

/**
 * Rooms whose modules keep nothing of one test file that another could see: a process loads them once, which halves what these files take. Without what measures
 * its own memory or forks many processes, which one that has grown would spoil or slow down.
 */
const POOLED = [
  ...['contract', 'data', 'services'].map((name) => `packages/${name}/test/**/*.test.ts`),
  'packages/recipes/test/!(memory).test.ts',
  'packages/recipes/test/!(sandbox)/**/*.test.ts',
];

/** What holds for every test file. */
export const each = {
  exclude: ['**/node_modules/**', '**/dist/**'],
  // Workers that tests start train beside other tests, whose processes would leave them nothing. Two test files run at once on two cores: threads of
  // TensorFlow beyond one each would only wait for each other.
  env: { MORAINE_TRAINING_NICE: '0', TF_NUM_INTRAOP_THREADS: '1' },
  // Forks, not threads: TensorFlow's native library and Postgres clients live in one process each and die with it.
  pool: 'forks' as const,
  testTimeout: 60_000,
  hookTimeout: 120_000,
};

export default defineConfig({
  test: {
    // Real Postgres and Redis for whoever asks (testServices() of @moraine/testing); a run that asks for none starts none.
    globalSetup: ['packages/testing/src/global-setup.ts'],
    maxWorkers: 2,
    reporters: ['default'],
    projects: [
      { test: { ...each, name: 'pooled', include: POOLED, isolate: false } },
      {
        test: {
          ...each,
          name: 'alone',
          include: ['packages/*/test/**/*.test.ts', 'apps/*/test/**/*.test.ts', 'scripts/**/test/**/*.test.ts'],
          exclude: [...each.exclude, ...POOLED],
        },
      },
    ],
  },
});
