import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['packages/*/test/**/*.test.ts', 'apps/*/test/**/*.test.ts', 'scripts/**/test/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**'],
    // Forks, not threads: TensorFlow's native library and Postgres clients live in one process each and die with it.
    // Real Postgres and Redis for whoever asks (testServices() of @moraine/testing); a run that asks for none starts none.
    globalSetup: ['packages/testing/src/global-setup.ts'],
    // Workers that tests start train beside other tests, whose processes would leave them nothing. Two test files run at once on two cores: threads of
    // TensorFlow beyond one each would only wait for each other.
    env: { MORAINE_TRAINING_NICE: '0', TF_NUM_INTRAOP_THREADS: '1' },
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    reporters: ['default'],
  },
});
