import { testServices } from '@moraine/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CLAIM, claim } from '../../src/work/claim.js';
import { seedProject, seedWorker } from '../seed-run.js';

const t = await testServices();
afterAll(() => t.close());
const s = t.services;

/** A node of a plan as `EXPLAIN (ANALYZE, FORMAT JSON)` writes it. */
interface PlanNode {
  'Node Type': string;
  'Relation Name'?: string;
  'Index Name'?: string;
  'Actual Rows'?: number;
  'Actual Loops'?: number;
  Plans?: PlanNode[];
}

const nodesOf = (node: PlanNode): PlanNode[] => [node, ...(node.Plans ?? []).flatMap(nodesOf)];

const QUEUED = 20_000;
const PROJECTS = ['a', 'b', 'c'];
const pool = 'long';
let workerId: string;

beforeAll(async () => {
  for (const id of PROJECTS) await s.db.project.create({ data: { id, name: id } });
  await s.pg.query(
    `INSERT INTO tasks (id, kind, project_id, pool, priority, status, queued_at)
     SELECT 'ftjob-' || n, 'train', ($1::text[])[1 + n % 3], $2, 50 + n % 2, 'queued', now() - n * interval '1 second' FROM generate_series(1, $3::int) n`,
    [PROJECTS, pool, QUEUED],
  );
  workerId = await seedWorker(s, pool);
});

async function planOf(): Promise<PlanNode[]> {
  const client = await s.pg.connect();
  try {
    await client.query('BEGIN');
    const { rows } = await client.query(`EXPLAIN (ANALYZE, FORMAT JSON) ${CLAIM}`, [
      workerId,
      pool,
      1_000,
      ['train'],
      2 ** 40,
      2 ** 40,
      2 ** 40,
    ]);
    return nodesOf((rows[0]['QUERY PLAN'] as { Plan: PlanNode }[])[0]?.Plan as PlanNode);
  } finally {
    await client.query('ROLLBACK');
    client.release();
  }
}

test.for(['before the statistics know of the queue', 'after ANALYZE'])(
  'a claim reads a few entries of an index, never the queue (%s)',
  async (when) => {
    if (when === 'after ANALYZE') await s.pg.query('ANALYZE');
    const nodes = await planOf();
    const ofTasks = nodes.filter((node) => node['Relation Name'] === 'tasks');
    expect(ofTasks.length).toBeGreaterThan(3);
    expect(ofTasks.map((node) => node['Node Type'])).not.toContain('Seq Scan');
    // Nothing in the whole plan, sorts included, saw more rows than there are projects or classes.
    for (const node of nodes)
      expect(node['Actual Rows'] ?? 0, node['Node Type']).toBeLessThanOrEqual(PROJECTS.length + 1);
  },
);

test('claims of a long queue go by priority, then by fair share, then by age', async () => {
  const taken: { id: string; project: string; priority: number }[] = [];
  for (let i = 0; i < 6; i++) {
    const claimed = await claim(s, { workerId, pool, kinds: ['train'] });
    const task = await s.db.task.findUniqueOrThrow({ where: { id: claimed?.task.id ?? '' } });
    taken.push({ id: task.id, project: task.projectId, priority: task.priority });
  }
  expect(taken.map(({ priority }) => priority)).toEqual([51, 51, 51, 51, 51, 51]);
  expect(
    taken
      .slice(0, 3)
      .map(({ project }) => project)
      .toSorted(),
  ).toEqual(PROJECTS);
  expect(
    taken
      .slice(3)
      .map(({ project }) => project)
      .toSorted(),
  ).toEqual(PROJECTS);
  // The oldest of each project: the highest numbers.
  expect(Math.min(...taken.map(({ id }) => Number(id.replace('ftjob-', ''))))).toBeGreaterThan(QUEUED - 13);
});

test('a claim goes on to the next class when the best one has only tasks that wait for their time', async () => {
  const { projectId } = await seedProject(s);
  const later = (id: string, priority: number, minutes: number) => [id, projectId, 'classes', priority, minutes];
  for (const row of [later('ftjob-later', 90, 5), later('ftjob-now', 10, -5), later('ftjob-newer', 10, -4)])
    await s.pg.query(
      `INSERT INTO tasks (id, kind, project_id, pool, priority, status, queued_at)
       VALUES ($1, 'train', $2, $3, $4, 'queued', now() + $5 * interval '1 minute')`,
      row,
    );
  const worker = await seedWorker(s, 'classes');
  const next = async () => (await claim(s, { workerId: worker, pool: 'classes', kinds: ['train'] }))?.task.id;
  expect([await next(), await next(), await next()]).toEqual(['ftjob-now', 'ftjob-newer', undefined]);
});
