import { setTimeout as sleep } from 'node:timers/promises';
import { newId } from '@moraine/contract';
import { testServices } from '@moraine/testing';
import { afterAll, expect, test } from 'vitest';
import { controlChannel } from '../../src/ground/publish-control.js';
import { type ControlMessage, listenControl, openServices, publishControl, type Services } from '../../src/index.js';

const t = await testServices();
afterAll(() => t.close());
const s: Services = t.services;

/** Channels are shared by all databases of a Redis: each test has a prefix of its own. */
const apart = (): Services => ({ ...s, redisPrefix: newId('run') });

/** Listens and waits until Redis knows of it. */
async function listening(services: Services): Promise<{ heard: ControlMessage[]; stop: () => void }> {
  const heard: ControlMessage[] = [];
  const stop = listenControl(services, (message) => heard.push(message));
  const count = async () => Number((await s.redis.pubsub('NUMSUB', controlChannel(services)))[1]);
  await expect.poll(count, { timeout: 5_000 }).toBe(1);
  return { heard, stop };
}

test('a cancel reaches a listener once', async () => {
  const services = apart();
  const { heard, stop } = await listening(services);
  await publishControl(services, { type: 'cancel', taskId: 'run-1' });
  await expect.poll(() => heard).toEqual([{ type: 'cancel', taskId: 'run-1' }]);
  stop();
});

test('what is no control message is passed over, and the next one is heard', async () => {
  const services = apart();
  const { heard, stop } = await listening(services);
  const wrong = [
    '{',
    'null',
    '7',
    '{"type":"stop","taskId":"r"}',
    '{"type":"cancel"}',
    '{"type":"cancel","taskId":7}',
    '{"type":"worker"}',
  ];
  for (const text of wrong) await s.redis.publish(controlChannel(services), text);
  await publishControl(services, { type: 'cancel', taskId: 'run-2' });
  await publishControl(services, { type: 'worker', workerId: 'worker-1' });
  await expect
    .poll(() => heard)
    .toEqual([
      { type: 'cancel', taskId: 'run-2' },
      { type: 'worker', workerId: 'worker-1' },
    ]);
  stop();
});

test('a listener hears nothing of another prefix, and nothing after it was stopped', async () => {
  const [ours, theirs] = [apart(), apart()];
  const { heard, stop } = await listening(ours);
  await publishControl(theirs, { type: 'cancel', taskId: 'theirs' });
  await publishControl(ours, { type: 'cancel', taskId: 'ours' });
  await expect.poll(() => heard).toEqual([{ type: 'cancel', taskId: 'ours' }]);
  stop();
  await sleep(50);
  await publishControl(ours, { type: 'cancel', taskId: 'late' });
  await sleep(50);
  expect(heard).toHaveLength(1);
});

test('a listener whose connection was cut subscribes again by itself', async () => {
  const services = apart();
  const { heard, stop } = await listening(services);
  const clients = String(await s.redis.client('LIST')).split('\n');
  const ids = clients
    // Other test files have listeners on the same server, in databases of their own.
    .filter((line) => line.includes('name=moraine-control ') && line.includes(` db=${s.redis.options.db ?? 0} `))
    .map((line) => /^id=(\d+)/.exec(line)?.[1]);
  expect(ids.length).toBeGreaterThan(0);
  for (const id of ids) if (id) await s.redis.call('CLIENT', 'KILL', 'ID', id);
  await expect
    .poll(
      async () => {
        await publishControl(services, { type: 'cancel', taskId: 'again' });
        return heard.length > 0;
      },
      { timeout: 10_000 },
    )
    .toBe(true);
  stop();
});

test('a control message that Redis cannot take is no error', async () => {
  const { databaseUrl, blobsDir } = t;
  const away = await openServices({ databaseUrl, blobsDir, redisUrl: 'redis://127.0.0.1:1', log: s.log });
  await expect(publishControl(away, { type: 'cancel', taskId: 'run-3' })).resolves.toBeUndefined();
  await away.close();
});
