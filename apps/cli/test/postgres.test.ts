import { spawn, spawnSync } from 'node:child_process';
import { chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { afterAll, describe, expect, test } from 'vitest';
import { type RunningServer, startPostgres } from '../src/up/postgres.js';
import { isRunning } from '../src/up/processes.js';

// One data folder for all tests, in a path with a space: a fresh one costs seconds.
const root = mkdtempSync(path.join(tmpdir(), 'moraine pg '));
const options = { dir: path.join(root, 'pg'), logFile: path.join(root, 'logs', 'postgres.log') };
const start = () => startPostgres(options);
let running: RunningServer | null = null;
afterAll(async () => {
  await running?.stop();
  rmSync(root, { recursive: true, force: true });
});

async function query(server: RunningServer, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  try {
    return (await client.query(sql)).rows as Record<string, unknown>[];
  } finally {
    await client.end();
  }
}

test('an initdb that was cut short leaves nothing that looks like a database', async () => {
  mkdirSync(path.join(options.dir, 'data.new'), { recursive: true });
  writeFileSync(path.join(options.dir, 'data.new', 'PG_VERSION'), '18');
  running = await start();
  expect(running.adopted).toBe(false);
  expect(await query(running, 'SELECT current_database() AS name')).toEqual([{ name: 'moraine' }]);
});

test('the password is asked for, and only the owner can read it', async () => {
  const server = await start();
  const wrong = new pg.Client({ connectionString: server.url.replace(/:[^:@]+@/, ':wrong@') });
  await expect(wrong.connect()).rejects.toMatchObject({ code: '28P01' });
  expect(statSync(path.join(options.dir, 'server.json')).mode & 0o777).toBe(0o600);
});

test('a second start takes over the server that runs', async () => {
  const before = await start();
  const again = await start();
  expect(again.adopted).toBe(true);
  expect(again.id).toEqual(before.id);
  expect(again.url).toBe(before.url);
});

test('rows that were acknowledged are there after kill -9, on the same port', async () => {
  const before = await start();
  await query(before, 'CREATE TABLE kept (id int)');
  await query(before, 'INSERT INTO kept SELECT generate_series(1, 1000)');
  process.kill(before.id.pid, 'SIGKILL');
  await before.ended;
  running = await start();
  expect(running.adopted).toBe(false);
  expect(running.port).toBe(before.port);
  expect(await query(running, 'SELECT count(*)::int AS n FROM kept')).toEqual([{ n: 1000 }]);
});

test('a pid file whose number another program has by now does not keep the server from starting', async () => {
  await (await start()).stop();
  const other = spawn('sleep', ['60']);
  const data = path.join(options.dir, 'data');
  writeFileSync(path.join(data, 'postmaster.pid'), `${other.pid}\n${data}\n1\n1\n\n127.0.0.1\n\nready   \n`);
  try {
    running = await start();
    expect(running.adopted).toBe(false);
    expect(running.id.pid).not.toBe(other.pid);
  } finally {
    other.kill('SIGKILL');
  }
});

test('another port is chosen and kept when someone took ours', async () => {
  const before = await start();
  await before.stop();
  const squatter = createServer();
  await new Promise<void>((resolve) => squatter.listen(before.port, '127.0.0.1', resolve));
  try {
    running = await start();
    expect(running.port).not.toBe(before.port);
    expect(JSON.parse(readFileSync(path.join(options.dir, 'server.json'), 'utf8'))).toMatchObject({
      port: running.port,
    });
    expect(await query(running, 'SELECT count(*)::int AS n FROM kept')).toEqual([{ n: 1000 }]);
  } finally {
    squatter.close();
  }
});

test('stop ends the server while clients are connected', async () => {
  const server = await start();
  const client = new pg.Client({ connectionString: server.url });
  client.on('error', () => {});
  await client.connect();
  await server.stop();
  expect(isRunning(server.id)).toBe(false);
  running = null;
  await client.end().catch(() => {});
});

describe('a data folder that this server cannot use is refused with what Postgres says, and is as it was', () => {
  const inData = (name: string): string => path.join(options.dir, 'data', name);

  test('because another version of Postgres made it', async () => {
    writeFileSync(inData('PG_VERSION'), '17\n');
    await expect(start()).rejects.toMatchObject({
      code: 'storage',
      message: expect.stringMatching(/Postgres does not start: .*initialized by PostgreSQL version 17.*version 18/),
      hint: `Its whole log is ${options.logFile}.`,
    });
    expect(readFileSync(inData('PG_VERSION'), 'utf8')).toBe('17\n');
    writeFileSync(inData('PG_VERSION'), '18\n');
  });

  // Root starts Postgres in a user namespace, to which another user's files are closed. Without namespaces it is given them.
  const isNamespaced = process.getuid?.() === 0 && spawnSync('unshare', ['--user', 'true']).status === 0;
  test.runIf(isNamespaced)('because it belongs to another user', async () => {
    const owners = ['.', 'PG_VERSION', 'postgresql.conf', 'global/pg_control'].map((name) => ({
      file: inData(name),
      uid: statSync(inData(name)).uid,
    }));
    for (const { file } of owners) chownSync(file, 1234, 1234);
    await expect(start()).rejects.toMatchObject({ code: 'storage', message: expect.stringMatching(/[Pp]ermission/) });
    expect(owners.map(({ file }) => statSync(file).uid)).toEqual([1234, 1234, 1234, 1234]);
    for (const { file, uid } of owners) chownSync(file, uid, uid);
  });

  test('and is used again once it is right', async () => {
    running = await start();
    expect(await query(running, 'SELECT count(*)::int AS n FROM kept')).toEqual([{ n: 1000 }]);
    await running.stop();
    running = null;
  });
});

// Root of a user namespace that has no other user, and no `unshare` to make one with.
const isRefused = spawnSync('unshare', ['--user', '--map-root-user', 'true']).status === 0;

/** Starts and stops a server as such a root, with what is on PATH; returns what was said. */
function startAlone(PATH: string, name: string): string {
  const program = new URL('../dist/up/postgres.js', import.meta.url);
  const code = `import(${JSON.stringify(program.href)})
    .then((m) => m.startPostgres(JSON.parse(process.argv[1]))).then((server) => server.stop())
    .then(() => console.log('stopped'), (e) => console.log(e.message, e.hint))`;
  const lone = ['/bin/sh', '-c', 'PATH=$0 exec "$@"', PATH, process.execPath, '-e', code];
  const given = JSON.stringify({ ...options, dir: path.join(root, name) });
  return spawnSync('unshare', ['--user', '--map-root-user', ...lone, given], { encoding: 'utf8' }).stdout;
}

test.runIf(isRefused)('root needs nothing but `unshare` on the PATH', () => {
  const tools = path.join(root, 'tools');
  mkdirSync(tools);
  const { stdout } = spawnSync('/bin/sh', ['-c', 'command -v unshare'], { encoding: 'utf8' });
  symlinkSync(stdout.trim(), path.join(tools, 'unshare'));
  expect(startAlone(tools, 'alone')).toBe('stopped\n');
});

test.runIf(isRefused)('root that can become nobody else is told what to do', () => {
  expect(startAlone('/nowhere', 'refused')).toMatch(
    /Postgres refuses to run as root, and root can become nobody else here: .*EINVAL.*`unshare` on the PATH/,
  );
});

test('data without its password file is an error that names both, not a new database', async () => {
  rmSync(path.join(options.dir, 'server.json'));
  await expect(start()).rejects.toThrow(/holds a database, but .*server\.json/);
});
