import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type TestServices, testServices } from '@moraine/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openServices, type Services } from '../src/ground/context.js';
import { openWakeConsumer } from '../src/ground/wake-consumer.js';
import { claimRun } from '../src/kinds/claim-run.js';
import { startReconciler } from '../src/reconcile/reconciler.js';
import { heartbeatWorker } from '../src/work/heartbeat-worker.js';
import { listWorkers } from '../src/work/list-workers.js';
import { offerTask } from '../src/work/offer-task.js';
import { retireWorker } from '../src/work/retire-worker.js';
import { type Seeded, seedProject, seedRun, seedWorker } from './seed-run.js';

let t: TestServices;
let s: Services;
let project: Seeded;

beforeAll(async () => {
  t = await testServices();
  s = t.services;
  project = await seedProject(s);
});
afterAll(() => t.close());

async function offered(pool: string, priority = 50): Promise<string> {
  const id = await seedRun(s, project, { pool, priority });
  await offerTask(s, { id, pool, submission: 1, priority });
  return id;
}

const waiting = (pool: string) => s.queues.of(pool).getJobCountByTypes('prioritized', 'waiting', 'delayed');

test('wake-ups come one at a time, the most urgent first, and leave no trace when finished', async () => {
  const pool = 'wake';
  const low = await offered(pool, 10);
  const high = await offered(pool, 90);
  const middle = await offered(pool);
  const consumer = openWakeConsumer(s, pool);
  const order = [];
  for (let i = 0; i < 3; i++) {
    const wakeUp = await consumer.next(5_000);
    order.push(wakeUp?.taskId);
    // What is in hand is not waiting; what is waiting is the backlog.
    expect(await waiting(pool)).toBe(2 - i);
    await wakeUp?.finish();
  }
  expect(order).toEqual([high, middle, low]);
  const next = consumer.next(10_000);
  await sleep(100);
  const late = await offered(pool);
  expect((await next)?.taskId).toBe(late);
  expect(await consumer.next(100)).toBeNull();
  await consumer.close();
});

test('a wait that nobody wants any more ends at once and loses no wake-up', async () => {
  const pool = 'abort';
  const consumer = openWakeConsumer(s, pool);
  const stop = new AbortController();
  const next = consumer.next(10_000, stop.signal);
  await sleep(200);
  stop.abort();
  expect(await next).toBeNull();
  const id = await offered(pool);
  expect((await consumer.next(5_000))?.taskId).toBe(id);
  await consumer.close();
});

test('without workers wake-ups stay visible in Redis; a claim takes away its own', async () => {
  const pool = 'backlog';
  for (let i = 0; i < 3; i++) await offered(pool);
  expect(await waiting(pool)).toBe(3);
  await claimRun(s, { workerId: await seedWorker(s, pool), pool });
  expect(await waiting(pool)).toBe(2);
});

test('offering a run twice gives one wake-up', async () => {
  const pool = 'twice';
  const id = await offered(pool);
  await offerTask(s, { id, pool, submission: 1, priority: 50 });
  expect(await waiting(pool)).toBe(1);
});

test('after Redis is wiped every queued run has its wake-up again within ten seconds, and a consumer that was waiting gets it', async () => {
  const pool = 'wiped';
  const ids = await Promise.all([offered(pool), offered(pool)]);
  const consumer = openWakeConsumer(s, pool);
  const reconciler = startReconciler(s);
  await s.redis.flushdb();
  const began = Date.now();
  const seen = [];
  for (let i = 0; i < 2; i++) {
    const wakeUp = await consumer.next(10_000);
    seen.push(wakeUp?.taskId);
    // Claimed meanwhile, or the reconciler offers it again.
    await s.db.task.update({ where: { id: wakeUp?.taskId ?? '' }, data: { status: 'paused' } });
    await wakeUp?.finish();
  }
  expect(Date.now() - began).toBeLessThan(10_000);
  expect(seen.toSorted()).toEqual(ids.toSorted());
  await Promise.all([consumer.close(), reconciler.close()]);
});

test('of two reconcilers one leads, and the other takes over when it ends', async () => {
  const options = { intervalMs: 50 };
  const [first, second] = [startReconciler(s, options), startReconciler(s, options)];
  const leaders = (): boolean[] => [first.isLeader(), second.isLeader()];
  for (let waits = 0; !leaders().includes(true) && waits < 200; waits++) await sleep(20);
  await sleep(200);
  expect(leaders().filter(Boolean)).toHaveLength(1);
  const [leading, following] = first.isLeader() ? [first, second] : [second, first];
  await leading.close();
  for (let waits = 0; !following.isLeader() && waits < 200; waits++) await sleep(20);
  expect(following.isLeader()).toBe(true);
  await following.close();
});

test('a worker whose process died loses its run to the queue, and a heartbeat brings a worker back', async () => {
  const pool = 'lost';
  const id = await offered(pool);
  const worker = await seedWorker(s, pool);
  await claimRun(s, { workerId: worker, pool, leaseMs: 100 });
  const reconciler = startReconciler(s, { intervalMs: 50, leaseMs: 100, workerSilentMs: 200 });
  const statusOf = async () => (await s.db.task.findUniqueOrThrow({ where: { id } })).status;
  for (let waits = 0; (await statusOf()) !== 'queued' && waits < 300; waits++) await sleep(20);
  expect(await statusOf()).toBe('queued');
  // Offered after the commit.
  await expect.poll(() => waiting(pool), { timeout: 5_000 }).toBe(1);
  const workerOf = async () => (await s.db.worker.findUniqueOrThrow({ where: { id: worker } })).status;
  for (let waits = 0; (await workerOf()) !== 'lost' && waits < 300; waits++) await sleep(20);
  expect(await workerOf()).toBe('lost');
  await reconciler.close();
  expect(await heartbeatWorker(s, worker, { status: 'ready' })).toEqual({ asked: null });
  expect(await workerOf()).toBe('ready');
});

test('workers are listed with what they do; retired ones are not', async () => {
  const pool = 'list';
  const actor = { projectId: project.projectId, keyId: null };
  const [busy, gone] = [await seedWorker(s, pool, 'busy'), await seedWorker(s, pool, 'gone')];
  const id = await offered(pool);
  await claimRun(s, { workerId: busy, pool });
  await heartbeatWorker(s, busy, { status: 'busy' });
  await retireWorker(s, gone);
  expect(await heartbeatWorker(s, gone, { status: 'ready' })).toBeNull();
  const { data } = await listWorkers(s, actor);
  const mine = data.filter((worker) => worker.pool === pool);
  expect(mine).toMatchObject([{ id: busy, status: 'busy', run_id: id, attempt: 1, memory_bytes: 1 }]);
  expect(mine[0]?.heartbeat_age_s).toBeLessThan(5);
  const stranger = { projectId: (await seedProject(s)).projectId, keyId: null };
  const seen = (await listWorkers(s, stranger)).data.find((worker) => worker.id === busy);
  expect(seen).toMatchObject({ run_id: null, attempt: null });
});

test('a Redis that holds its connections and says nothing is away: a run is claimed all the same', async () => {
  const redis = new URL(t.redisUrl);
  const port = Number(redis.port);
  const sockets = new Set<Socket>();
  const ends = new Map<Socket, Socket>();
  const between = createServer((client) => {
    const server = connect(port, redis.hostname);
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      sockets.add(from);
      ends.set(from, to);
      from.on('error', () => undefined).pipe(to);
    }
  });
  await new Promise<void>((resolve) => between.listen(0, '127.0.0.1', resolve));
  const address = between.address();
  redis.port = String(typeof address === 'object' ? address?.port : '');
  const { databaseUrl, blobsDir } = t;
  const through = await openServices({ databaseUrl, blobsDir, redisUrl: redis.toString(), log: s.log });
  const pool = 'silent';
  const id = await seedRun(s, project, { pool });
  const workerId = await seedWorker(s, pool);
  expect(await through.redis.ping()).toBe('PONG');
  for (const socket of sockets) socket.unpipe().pause();
  expect((await claimRun(through, { workerId, pool }))?.token.taskId).toBe(id);
  // It was silent while the queue of this pool was opened; the queue must not stay broken for that.
  for (const socket of sockets) socket.pipe(ends.get(socket) ?? socket);
  const offer = { id, pool, submission: 1, priority: 50 };
  await expect.poll(() => offerTask(through, offer), { timeout: 10_000 }).toBe(true);
  for (const socket of sockets) socket.destroy();
  await through.close();
  between.close();
}, 30_000);
