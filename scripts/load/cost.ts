/** `npm run load:cost`: the processor time of the API for each route, one request after the other; 20,000 runs in the table. */
import { call, fillPoints, fillRuns, uploadInputs } from './fill.js';
import { openShooter } from './open-loop.js';
import { useOf } from './process-use.js';
import { createShot, readsOf } from './shots.js';
import { startLoadStack } from './stack.js';

const REQUESTS = 300;
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

const stack = await startLoadStack({ LOG_LEVEL: 'warn' });
try {
  const inputs = await uploadInputs(stack);
  const run = await call(stack, 'POST', '/v1/fine_tuning/jobs', { ...inputs, pool: 'nobody' });
  await fillRuns(stack.databaseUrl, String(run.id), 20_000);
  await fillPoints(stack.databaseUrl, String(run.id), SERIES, 400);
  const shooter = openShooter(stack);
  console.log(`${'route'.padEnd(24)}   ms of processor time`);
  for (const shot of [...readsOf(String(run.id)), createShot(inputs)]) {
    for (let i = 0; i < REQUESTS; i++) await shooter.shoot(shot);
    const before = useOf(stack.pids.api);
    for (let i = 0; i < REQUESTS; i++) await shooter.shoot(shot);
    const cost = ((useOf(stack.pids.api).cpuS - before.cpuS) * 1_000) / REQUESTS;
    console.log(`${shot.name.padEnd(24)}${cost.toFixed(2).padStart(8)}`);
  }
  shooter.close();
} finally {
  await stack.stop();
}
