import type { RunOrder, RunSummary } from '@moraine/contract';
import { testServices } from '@moraine/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openPool } from '../src/ground/db.js';
import { type Actor, createBaseFromDir, createRun, type SearchRuns, type Services, searchRuns } from '../src/index.js';
import { moveTask } from '../src/work/move-task.js';
import { defaultActor, goodRows, tinyFiles, uploadRows, writeFolder } from './tiny-base.js';

const t = await testServices();
afterAll(() => t.close());
const s: Services = t.services;
let actor: Actor;
/** Oldest first. */
const made: string[] = [];

const COUNT = 130;
const METHODS = [{ rank: 2 }, { type: 'mora', rank: 2 }, { type: 'none' }];

beforeAll(async () => {
  actor = await defaultActor(s);
  await createBaseFromDir(s, actor, { name: 'tiny', dir: await writeFolder(tinyFiles()) });
  const training_file = (await uploadRows(s, actor, goodRows(64))).id;
  for (let at = 0; at < COUNT; at++) {
    const run = await createRun(s, actor, {
      model: 'tiny',
      training_file,
      max_steps: 10 + at,
      adapter: METHODS[at % 3],
      optimizer: { learning_rate: at < 5 ? (at + 1) / 1e5 : 2e-3 },
      ...(at % 10 === 0 && { suffix: `Übung-${at}` }),
      metadata: { team: at % 2 ? 'blue' : 'green', name: at % 10 === 1 ? `named ${at}` : '', note: '100 %_' },
    });
    made.push(run.id);
    // Several have one loss, and several none.
    const trainLoss = at % 4 === 3 ? null : (at % 7) / 2;
    await s.db.run.update({ where: { id: run.id }, data: { trainLoss, step: at % 9 } });
    // In pairs of one moment, so that the id decides between equals.
    await s.db.task.update({ where: { id: run.id }, data: { createdAt: new Date(1_700_000_000_000 + (at >> 1)) } });
  }
  for (const id of made.slice(3, 8)) await moveTask(s.pg, id, 'cancelled');
});

const search = (part: Partial<SearchRuns> = {}) =>
  searchRuns(s, actor, { limit: 50, sort: '-created', count: true, ...part });

async function all(part: Partial<SearchRuns>): Promise<RunSummary[]> {
  const rows: RunSummary[] = [];
  let after: string | undefined;
  do {
    const page = await search({ ...part, after });
    rows.push(...page.data);
    after = page.has_more ? (page.last_id ?? undefined) : undefined;
  } while (after);
  return rows;
}

const idsOf = (rows: readonly { id: string }[]): string[] => rows.map(({ id }) => id);

describe('a search', () => {
  test('goes over all runs, and says how many match', async () => {
    const oldest = made[0] ?? '';
    expect(await search({ q: oldest })).toMatchObject({ data: [{ id: oldest, name: 'Übung-0' }], total_count: 1 });
    expect(idsOf((await search({ q: oldest.slice(-12) })).data)).toEqual([oldest]);
    expect(idsOf((await search({ q: 'übung-120' })).data)).toEqual([made[120]]);
    expect(idsOf((await search({ q: 'named 121' })).data)).toEqual([made[121]]);
    expect((await search({ limit: 3 })).total_count).toBe(COUNT);
    expect((await search({ count: false })).total_count).toBeNull();
  });

  test.each<[q: string, count: number]>([
    ['', COUNT],
    ['team=blue', COUNT / 2],
    ['team=blue method:mora', 22],
    ['team=nobody', 0],
    ['method:full', 43],
    ['full', 43],
    ['base:TIN pool:default', COUNT],
    ['base:elsewhere', 0],
    ['lr<3e-5', 2],
    ['lr<=3e-5', 3],
    ['rank>=2', 87],
    ['loss>2.5 loss<3.1', 14],
    ['steps>=100 steps<110', 10],
    ['status:cancelled', 5],
    ['name:bung', 13],
    ['"named 121"', 1],
    ['name:"d 121"', 1],
    ['"121 named"', 0],
    ['name:"named 121', 1],
    ['%_', COUNT],
    ['100_', 0],
    ["'; DROP TABLE runs; --", 0],
    ['a:b http://x', 0],
  ])('for "%s" finds %i', async (q, count) => {
    expect((await search({ q })).total_count).toBe(count);
  });

  test('is narrowed by pairs of metadata, whatever is in them', async () => {
    const counts = async (metadata: Record<string, string> | null) => (await search({ metadata })).total_count;
    expect(await counts({ team: 'blue' })).toBe(COUNT / 2);
    expect(await counts({ team: 'blue', note: '100 %_' })).toBe(COUNT / 2);
    expect(await counts({ team: 'blue', note: '100' })).toBe(0);
    expect(await counts(null)).toBe(0);
  });

  test('is narrowed by status and by ids', async () => {
    expect(idsOf((await search({ status: 'cancelled' })).data).sort()).toEqual(made.slice(3, 8).sort());
    expect(idsOf((await search({ ids: [made[9] ?? '', made[2] ?? '', 'ftjob-nothing'] })).data)).toEqual([
      made[9],
      made[2],
    ]);
  });

  test('that makes no sense is refused with what is wrong', async () => {
    await expect(search({ q: 'lr<fast' })).rejects.toMatchObject({
      code: 'invalid_value',
      param: 'q',
      message: expect.stringContaining("'lr<fast'"),
    });
    await expect(search({ after: 'ftjob-nothing' })).rejects.toMatchObject({ code: 'invalid_value', param: 'after' });
    await expect(search({ ids: Array.from({ length: 101 }, String) })).rejects.toMatchObject({ param: 'ids' });
  });
});

describe('a page after another', () => {
  const KEYS: Partial<Record<RunOrder, (run: RunSummary) => number | string | null>> = {
    created: (run) => run.created_at,
    name: (run) => run.name.toLowerCase(),
    loss: (run) => run.progress.train_loss,
    parameters: (run) => run.trainable_parameters,
    learning_rate: (run) => run.learning_rate,
    progress: (run) => run.progress.step / run.progress.steps,
    status: (run) => run.status,
    finished: (run) => run.finished_at,
  };

  test.each(['created', 'name', 'loss', 'parameters', 'learning_rate', 'progress', 'status', 'finished'] as const)(
    'sorted by %s holds every run once, up and down, with what is missing last',
    async (sort) => {
      for (const order of [sort, `-${sort}`] as const) {
        const rows = await all({ sort: order, limit: 17 });
        expect(new Set(idsOf(rows)).size).toBe(COUNT);
        const keys = rows.map((run) => KEYS[sort]?.(run) ?? null);
        const known = keys.filter((key) => key !== null);
        expect(keys.slice(known.length).every((key) => key === null)).toBe(true);
        if (sort === 'name') continue;
        const sorted = [...known].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
        expect(known).toEqual(order === sort ? sorted : sorted.reverse());
      }
    },
  );

  test('goes on where it was although runs were added, and keeps to the filter', async () => {
    const first = await search({ q: 'team=green', limit: 20 });
    const second = await search({ q: 'team=green', limit: 20, after: first.last_id ?? '' });
    const rest = await all({ q: 'team=green' });
    expect(idsOf([...first.data, ...second.data])).toEqual(idsOf(rest).slice(0, 40));
    expect(rest).toHaveLength(COUNT / 2);
  });
});

test('a row has what a list shows, and no configuration', async () => {
  const { data } = await search({ ids: [made[1] ?? ''] });
  expect(data[0]).toMatchObject({
    object: 'run.summary',
    name: 'named 1',
    model: 'tiny',
    status: 'queued',
    method: { type: 'mora', name: 'MoRA', rank: 2 },
    learning_rate: 2e-5,
    progress: { step: 1, steps: 11, seconds_remaining: null },
  });
  expect(JSON.stringify(data[0])).not.toContain('target_modules');
  expect(JSON.stringify(data[0]).length).toBeLessThan(800);
});

test('a search that fails leaves nothing behind that fails later and ends the process', async () => {
  // An unhandled rejection fails the whole run of these tests.
  const away = openPool('postgres://nobody@127.0.0.1:9/none', { onError: () => undefined, patience: 'request' });
  await expect(searchRuns({ ...s, pg: away }, actor, { limit: 10, sort: '-created', count: true })).rejects.toThrow();
  await new Promise((resolve) => setTimeout(resolve, 100));
  await away.end();
});
