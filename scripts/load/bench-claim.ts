/**
 * How long a claim takes with 100,000 queued tasks in one pool, and whether its plan looks at the whole queue.
 * `npm run bench:claim`; `-- 20000 5 3` for other numbers of tasks, projects and priorities.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Services } from '@moraine/services';
import { testServices } from '@moraine/testing';
import { setup } from '@moraine/testing/global-setup';
import { CLAIM, claim } from '../../packages/services/src/work/claim.js';
import { quantile } from './quantile.js';

const [tasks = 100_000, projects = 10, priorities = 5] = process.argv.slice(2).map(Number);
const CLAIMS = 300;
const GOAL_MS = 5;

/** Milliseconds that Postgres itself plans and executes one claim, which is taken back. */
async function serverMs(s: Services): Promise<number> {
  const client = await s.pg.connect();
  try {
    await client.query('BEGIN');
    const { rows } = await client.query(`EXPLAIN (ANALYZE, FORMAT JSON) ${CLAIM}`, [
      'wrk_bench',
      'bench',
      1_000,
      ['train'],
      2 ** 40,
      2 ** 40,
      2 ** 40,
    ]);
    const plan = rows[0]['QUERY PLAN'][0] as Record<'Planning Time' | 'Execution Time', number>;
    return plan['Planning Time'] + plan['Execution Time'];
  } finally {
    await client.query('ROLLBACK');
    client.release();
  }
}

const stop = await setup();
const t = await testServices();
const { services: s } = t;
try {
  await s.pg.query(
    `INSERT INTO projects (id, name) SELECT 'proj_' || n, 'p' || n FROM generate_series(0, $1::int - 1) n`,
    [projects],
  );
  await s.pg.query(
    `INSERT INTO tasks (id, kind, project_id, pool, priority, status, queued_at)
     SELECT 'ftjob-' || n, 'train', 'proj_' || n % $2::int, 'bench', 50 - n % $3::int, 'queued', now() - n * interval '1 second'
     FROM generate_series(1, $1::int) n`,
    [tasks, projects, priorities],
  );
  await s.pg.query(
    `INSERT INTO workers (id, name, pool, status, host, pid, version, device, cores, memory_bytes)
     VALUES ('wrk_bench', 'bench', 'bench', 'ready', 'here', 1, '0', '{}', 1, 1)`,
  );
  const times: number[] = [];
  for (let i = 0; i < CLAIMS; i++) {
    const began = performance.now();
    const claimed = await claim(s, { workerId: 'wrk_bench', pool: 'bench', kinds: ['train'] });
    times.push(performance.now() - began);
    if (!claimed) throw new Error('nothing was claimed');
    await sleep(1);
  }
  const [p50, p95, worst] = [quantile(times, 0.5), quantile(times, 0.95), Math.max(...times)];
  console.log(`${tasks} queued of ${projects} projects in ${priorities} priorities, ${CLAIMS} claims:`);
  console.log(
    `p50 ${p50.toFixed(2)} ms   p95 ${p95.toFixed(2)} ms   worst ${worst.toFixed(2)} ms   (goal: p95 ≤ ${GOAL_MS} ms)`,
  );
  const server: number[] = [];
  for (let i = 0; i < 100; i++) server.push(await serverMs(s));
  console.log(
    `Postgres' own part: p50 ${quantile(server, 0.5).toFixed(2)} ms   p95 ${quantile(server, 0.95).toFixed(2)} ms`,
  );
  if (p95 > GOAL_MS) process.exitCode = 1;
} finally {
  await t.close();
  await stop();
}
