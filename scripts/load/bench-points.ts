/**
 * How many metric points a second go from a worker's outbox through the fence into points, roll-ups and the live stream.
 * `npm run bench:points`; `-- 20000 10` for other numbers of steps and of values a step.
 */
import type { AttemptEvent } from '@moraine/contract';
import { claimRun, registerWorker, type Services, startAttempt } from '@moraine/services';
import { testServices } from '@moraine/testing';
import { setup } from '@moraine/testing/global-setup';
import { openLivePublisher } from '../../apps/worker/src/live-publisher.js';
import { openOutbox } from '../../apps/worker/src/outbox.js';
import { trainSink } from '../../apps/worker/src/train-sink.js';
import { config, seedProject, seedRun } from '../../packages/services/test/seed-run.js';
import { useOf } from './process-use.js';

const [steps = 5_000, values = 10] = process.argv.slice(2).map(Number);
const GOAL = 20_000;

/** Processor time that Postgres has spent for our connections, seconds. */
async function serverCpuS(s: Services): Promise<number> {
  const { rows } = await s.pg.query<{ pid: number }>(
    'SELECT pid FROM pg_stat_activity WHERE datname = current_database()',
  );
  return rows.reduce((sum, { pid }) => sum + useOf(pid).cpuS, 0);
}

const stop = await setup();
const t = await testServices();
const { services: s } = t;
try {
  const project = await seedProject(s);
  await seedRun(s, project, { config: { steps } });
  const device = { kind: 'cpu' as const, name: 'cpu', tensorflow: null, bfloat16: null };
  const facts = {
    name: 'bench',
    pool: 'default',
    host: 'here',
    pid: 1,
    version: '0',
    device,
    cores: 1,
    memoryBytes: 1,
  };
  const claimed = await claimRun(s, { workerId: await registerWorker(s, facts), pool: 'default' });
  if (!claimed) throw new Error('nothing was claimed');
  const { token } = claimed;
  await startAttempt(s, token, { startStep: 0 });
  const live = openLivePublisher(s, token.taskId, token.attempt);
  const sink = trainSink({ s, token, config: { ...config, steps }, live, onWish: () => undefined });
  let statements = 0;
  const outbox = openOutbox(
    {
      metrics: (batch) => {
        statements++;
        return sink.metrics(batch);
      },
      logs: async () => undefined,
      event: async () => undefined,
    },
    { onError: (error) => console.error(error), onWait: (error) => console.error(error) },
  );
  const serverBefore = await serverCpuS(s);
  const cpuBefore = process.cpuUsage();
  const began = performance.now();
  for (let step = 1; step <= steps; step++) {
    const named = Array.from({ length: values - 1 }, (_, i) => [`value_${i}`, step + i]);
    const event: AttemptEvent = {
      type: 'metrics',
      step,
      at: Date.now(),
      values: { train_loss: 3 / step, ...Object.fromEntries(named) },
    };
    outbox.push(event);
  }
  await outbox.drained();
  const storedS = (performance.now() - began) / 1_000;
  await live.flush(60_000);
  const seconds = (performance.now() - began) / 1_000;
  const { user, system } = process.cpuUsage(cpuBefore);
  const serverUs = ((await serverCpuS(s)) - serverBefore) * 1e6;
  const points = await s.db.metricPoint.count();
  const perSecond = Math.round(points / seconds);
  console.log(
    `${points} points of ${steps} steps in ${statements} statements: ` +
      `${Math.round(points / storedS)} points/s stored, ${perSecond} points/s with the stream (goal ${GOAL})`,
  );
  console.log(
    `The worker's own processor time: ${((user + system) / points).toFixed(1)} µs a point; Postgres': ${(serverUs / points).toFixed(1)} µs`,
  );
  if (points !== steps * values) throw new Error(`${steps * values} points were sent`);
  if (perSecond < GOAL) process.exitCode = 1;
} finally {
  await t.close();
  await stop();
}
