import { setTimeout as sleep } from 'node:timers/promises';
import type { StreamMessage } from '@moraine/contract';
import { followRuns, type Services } from '@moraine/services';
import { type TestServices, testServices } from '@moraine/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openLivePublisher } from '../src/live-publisher.js';

let t: TestServices;
let s: Services;
beforeAll(async () => {
  t = await testServices();
  s = t.services;
});
afterAll(() => t.close());

const metricOf = (step: number, attempt = 1): StreamMessage => ({
  event: 'metric',
  data: { step, attempt, at: step, values: { train_loss: step } },
});

/** Steps that a follower sees until there are `count`, or nothing new comes for a while. */
async function stepsOf(runId: string, count: number): Promise<number[]> {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), 5_000);
  const steps: number[] = [];
  for await (const { message } of followRuns(s, new Map([[runId, null]]), stop.signal)) {
    if (message.event === 'metric') steps.push(message.data.step);
    if (steps.length >= count) break;
  }
  clearTimeout(timer);
  return steps;
}
const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);

describe('the live messages of an attempt', () => {
  it('come in the order they were sent, once each, however they were handed over', async () => {
    const live = openLivePublisher(s, 'ftjob-order', 1);
    for (let step = 1; step <= 450; step += 9) {
      live.send(Array.from({ length: 9 }, (_, i) => metricOf(step + i)));
      if (step % 90 === 1) await sleep(2);
    }
    await live.flush(10_000);
    expect(await stepsOf('ftjob-order', 450)).toEqual(upTo(450));
    live.close();
  });

  it('of an older attempt are not taken any more once a newer one has spoken', async () => {
    const [older, newer] = [openLivePublisher(s, 'ftjob-two', 1), openLivePublisher(s, 'ftjob-two', 2)];
    older.send([metricOf(1), metricOf(2)]);
    await older.flush(10_000);
    newer.send([metricOf(3, 2)]);
    await newer.flush(10_000);
    older.send([metricOf(4)]);
    await older.flush(10_000);
    newer.send([metricOf(5, 2)]);
    await newer.flush(10_000);
    expect(await stepsOf('ftjob-two', 4)).toEqual([1, 2, 3, 5]);
  });

  it('are dropped when it is closed, but for the page that is on its way', async () => {
    const live = openLivePublisher(s, 'ftjob-closed', 1);
    live.send(upTo(450).map((step) => metricOf(step)));
    live.close();
    expect(await stepsOf('ftjob-closed', 200)).toEqual(upTo(200));
    const after = openLivePublisher(s, 'ftjob-closed', 2);
    after.send([metricOf(451, 2)]);
    await after.flush(10_000);
    expect(await stepsOf('ftjob-closed', 201)).toEqual([...upTo(200), 451]);
  });
});
