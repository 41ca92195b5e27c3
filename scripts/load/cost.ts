/**
 * `npm run load:cost`: the processor time of the API and of Postgres for each route, one request after the other, 20,000 runs in the table.
 * The rounds of all routes take turns, and the middle one of each counts, so that what else the machine does meets all alike.
 */
import { call, fillPoints, fillRuns, uploadInputs } from './fill.js';
import { openShooter, type Shooter, type Shot } from './open-loop.js';
import { childTimes, useOf } from './process-use.js';
import { createShot, rareReadsOf, readsOf } from './shots.js';
import { type LoadStack, startLoadStack } from './stack.js';

const ROUNDS = 3;
const REQUESTS = 200;
const WARM_UP = 300;
/** One answer of 20,000 items is as long as thousands of others. */
const LONG_REQUESTS = 5;
/** What a run of 400 steps draws. */
const SERIES = [
  'train_loss',
  'learning_rate',
  'grad_norm',
  'tokens_per_second',
  'step_ms',
  'valid_loss',
  'memory_bytes',
  'data_ms',
];

interface Cost {
  apiMs: number;
  postgresMs: number;
}

async function costOf(stack: LoadStack, shooter: Shooter, shot: Shot): Promise<Cost> {
  const requests = shot.isLong ? LONG_REQUESTS : REQUESTS;
  const use = () => ({ api: useOf(stack.pids.api).cpuS, postgres: childTimes(stack.pids.postgres) });
  const before = use();
  for (let i = 0; i < requests; i++) {
    const { status } = await shooter.shoot(shot);
    if (status !== 200) throw new Error(`${shot.method} ${shot.path} answers ${status}.`);
  }
  const after = use();
  const postgresS = [...after.postgres].reduce((sum, [pid, to]) => sum + to - (before.postgres.get(pid) ?? to), 0);
  return { apiMs: ((after.api - before.api) * 1_000) / requests, postgresMs: (postgresS * 1_000) / requests };
}

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

const stack = await startLoadStack({ LOG_LEVEL: 'warn' });
try {
  const inputs = await uploadInputs(stack);
  const run = await call(stack, 'POST', '/v1/fine_tuning/jobs', { ...inputs, pool: 'nobody' });
  await fillRuns(stack.databaseUrl, String(run.id), 20_000);
  await fillPoints(stack.databaseUrl, String(run.id), SERIES, 400);
  const shooter = openShooter(stack);
  const shots = [...readsOf(String(run.id)), ...rareReadsOf(String(run.id), inputs.training_file), createShot(inputs)];
  const costs = new Map<Shot, Cost[]>(shots.map((shot) => [shot, []]));
  const isShort = ({ kind, isLong }: Shot): boolean => kind === 'read' && !isLong;
  // What long answers leave behind, and the queue that creates make longer, would be charged to the reads of the next round.
  const groups = [
    shots.filter(isShort),
    shots.filter(({ isLong }) => isLong),
    shots.filter(({ kind }) => kind === 'create'),
  ];
  for (const those of groups) {
    // The first ones fill caches and plans, and are compiled.
    for (const shot of those) if (!shot.isLong) for (let i = 0; i < WARM_UP; i++) await shooter.shoot(shot);
    for (let round = 0; round < ROUNDS; round++)
      for (const shot of those) costs.get(shot)?.push(await costOf(stack, shooter, shot));
  }
  console.log(`${'ms of processor time'.padEnd(24)}     API  Postgres`);
  for (const [{ name }, rounds] of costs) {
    const of = (key: keyof Cost): string => median(rounds.map((cost) => cost[key])).toFixed(2);
    console.log(`${name.padEnd(24)}${of('apiMs').padStart(8)}${of('postgresMs').padStart(10)}`);
  }
  shooter.close();
} finally {
  await stack.stop();
}
