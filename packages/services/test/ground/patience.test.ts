import { newId } from '@moraine/contract';
import { openBetween, testServices } from '@moraine/testing';
import { afterAll, expect, test } from 'vitest';
import { openPool } from '../../src/ground/db.js';
import { isLate, PATIENCE } from '../../src/ground/patience.js';
import { proveWrite } from '../../src/ground/prove-write.js';
import { inTransaction } from '../../src/ground/transaction.js';
import { heartbeatWorker, isServerAway, openServices, renewLease, type Services } from '../../src/index.js';

const t = await testServices();
const between = await openBetween(t.databaseUrl);
const { redisUrl, blobsDir } = t;
const s: Services = await openServices({ databaseUrl: between.url, blobsDir, redisUrl, log: t.services.log });
const token = { taskId: newId('run'), attempt: 1, workerId: newId('worker') };
afterAll(async () => {
  between.close();
  await s.close();
  await t.close();
});

const settingOf = async (services: Services, name: string): Promise<string> => {
  const { rows } = await services.pg.query<{ value: string }>('SELECT current_setting($1) AS value', [name]);
  return rows[0]?.value ?? '';
};

test('statements end by themselves: sooner where a request waits, later where a worker stores', async () => {
  const work = await openServices({ databaseUrl: t.databaseUrl, redisUrl, blobsDir, log: s.log, patience: 'work' });
  try {
    expect(await settingOf(s, 'statement_timeout')).toBe('8s');
    expect(await settingOf(work, 'statement_timeout')).toBe('1min');
    expect(await settingOf(s, 'idle_in_transaction_session_timeout')).toBe('10s');
  } finally {
    await work.close();
  }
  // The one that waits here gives up after Postgres has.
  for (const { statementMs, queryMs } of Object.values(PATIENCE)) expect(queryMs).toBeGreaterThan(statementMs);
});

test('a Postgres that hangs is not waited for without end, by a renewal, a heartbeat, a proof or a transaction', async () => {
  await s.pg.query('SELECT 1');
  between.hang();
  try {
    const from = performance.now();
    const asked = [
      renewLease(s, token),
      heartbeatWorker(s, token.workerId, { status: 'ready' }),
      proveWrite(s.pg, 500),
      inTransaction(s, (client) => client.query('SELECT 1')),
    ];
    const errors = await Promise.all(asked.map((one) => one.then(() => null).catch((error: unknown) => error)));
    for (const error of errors) expect(isServerAway(error), String(error)).toBe(true);
    expect(performance.now() - from).toBeLessThan(PATIENCE.request.queryMs * 2);
  } finally {
    between.resume();
  }
  // What hung is thrown away, with what it held; new connections serve.
  await expect
    .poll(
      () =>
        s.pg
          .query('SELECT 1')
          .then(() => 'ok')
          .catch(String),
      { timeout: 15_000 },
    )
    .toBe('ok');
}, 60_000);

test('a transaction whose connection fell silent does not wait for a rollback as well', async () => {
  const pool = openPool(between.url, { onError: () => undefined, patience: 'request' });
  pool.options.query_timeout = 300;
  try {
    const begun = inTransaction({ ...s, pg: pool }, async (client) => {
      between.hang();
      await client.query('SELECT 1');
    });
    const from = performance.now();
    const error = await begun.catch((one: unknown) => one);
    expect(isLate(error)).toBe(true);
    expect(performance.now() - from).toBeLessThan(550);
    expect(pool.totalCount).toBe(0);
  } finally {
    between.resume();
    await pool.end();
  }
});

test('the wait for a connection is measured, while it lasts and over all', async () => {
  const pool = openPool(t.databaseUrl, { onError: () => undefined, patience: 'request', connectionsMax: 1 });
  const held = await pool.connect();
  const second = pool.query('SELECT 1');
  await new Promise((resolve) => setTimeout(resolve, 60));
  expect(pool.state()).toMatchObject({ connections: 1, idle: 0, waiting: 1, waits: 1, failures: 0 });
  expect(pool.state().longestWaitMs).toBeGreaterThanOrEqual(50);
  held.release();
  await second;
  expect(pool.state()).toMatchObject({ waiting: 0, longestWaitMs: 0, waits: 2, failures: 0 });
  expect(pool.state().waitedMs).toBeGreaterThanOrEqual(50);
  await pool.end();
  await expect(pool.connect()).rejects.toThrow();
  expect(pool.state().failures).toBe(1);
});

test('a server that takes no writes is away, as SQL and Prisma say it, and its proof fails', async () => {
  const database = new URL(t.databaseUrl).pathname.slice(1);
  await t.services.pg.query(`ALTER DATABASE ${database} SET default_transaction_read_only = on`);
  const readOnly = await openServices({ databaseUrl: t.databaseUrl, redisUrl, blobsDir, log: s.log });
  try {
    const id = newId('project');
    const writes: Record<string, () => Promise<unknown>> = {
      SQL: () => readOnly.pg.query(`INSERT INTO projects (id, name) VALUES ($1, 'x')`, [id]),
      Prisma: () => readOnly.db.project.create({ data: { id, name: 'x' } }),
      'SQL through Prisma': () => readOnly.db.$executeRaw`INSERT INTO projects (id, name) VALUES (${id}, 'x')`,
      'a transaction of Prisma': () => readOnly.db.$transaction((tx) => tx.project.create({ data: { id, name: 'x' } })),
      'the proof': () => proveWrite(readOnly.pg, 2_000),
    };
    for (const [by, write] of Object.entries(writes)) {
      const error = await write().then(
        () => null,
        (thrown: unknown) => thrown,
      );
      expect(isServerAway(error), `${by}: ${String(error)}`).toBe(true);
    }
  } finally {
    await readOnly.close();
    await t.services.pg.query('SET default_transaction_read_only = off');
    await t.services.pg.query(
      `BEGIN READ WRITE; ALTER DATABASE ${database} RESET default_transaction_read_only; COMMIT`,
    );
  }
});
