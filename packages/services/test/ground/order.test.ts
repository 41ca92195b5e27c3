import { newId } from '@moraine/contract';
import { testServices } from '@moraine/testing';
import { afterAll, expect, test } from 'vitest';
import { followRuns, listFiles, publish, type Services } from '../../src/index.js';
import { defaultActor, goodRows, uploadRows } from '../tiny-base.js';

const t = await testServices();
afterAll(() => t.close());
const s: Services = t.services;

test('files of one moment are on one page each, in both directions', async () => {
  const actor = await defaultActor(s);
  const ids: string[] = [];
  for (let i = 0; i < 5; i++) ids.push((await uploadRows(s, actor, goodRows(1), 'evals')).id);
  await s.db.file.updateMany({ where: { id: { in: ids } }, data: { createdAt: new Date(1_700_000_000_000) } });
  for (const order of ['desc', 'asc'] as const) {
    const seen: string[] = [];
    let after: string | undefined;
    do {
      const page = await listFiles(s, actor, { purpose: 'evals', limit: 2, order, after });
      seen.push(...page.data.map((file) => file.id));
      after = page.has_more ? page.data.at(-1)?.id : undefined;
    } while (after);
    expect(seen.toSorted()).toEqual(ids.toSorted());
  }
});

test('a follower gets every message of one millisecond', async () => {
  const runId = newId('run');
  const message = (step: number) => ({
    message: { event: 'metric' as const, data: { step, attempt: 1, at: 0, values: { train_loss: 1 } } },
    seq: step,
  });
  await publish(s, runId, [message(1)], 1);
  const abort = new AbortController();
  const steps: number[] = [];
  const ids: string[] = [];
  const following = (async () => {
    for await (const entry of followRuns(s, new Map([[runId, null]]), abort.signal)) {
      if (entry.message.event !== 'metric') continue;
      steps.push(entry.message.data.step);
      ids.push(entry.id);
      // The first is from the past; those after it are published while the follower listens.
      if (steps.length === 1) await publish(s, runId, [2, 3, 4, 5].map(message), 1);
      if (steps.length === 5) abort.abort();
    }
  })();
  const timer = setTimeout(() => abort.abort(), 5_000);
  await following;
  clearTimeout(timer);
  expect(steps).toEqual([1, 2, 3, 4, 5]);
  expect(new Set(ids.slice(1).map((id) => id.split('-')[0])).size).toBe(1);
});
