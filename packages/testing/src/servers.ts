import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { migrate } from '@moraine/services';
import { startPostgres, startRedis } from 'moraine/up';
import pg from 'pg';

/** One embedded Postgres and one embedded Redis in a temporary folder. */
export interface TestServers {
  /** An empty database of its own, or one that has every migration, and a Redis database number of its own. */
  createDatabase(kind: 'empty' | 'migrated'): Promise<{ databaseUrl: string; redisUrl: string }>;
  stop(): Promise<void>;
}

const REDIS_DATABASES = 4096;

/** Ends the servers and removes the folder when our end of its standard input closes: also when we are killed. */
const WATCHDOG = [
  'cat >/dev/null; pids=',
  'for file in "$1/pg/data/postmaster.pid" "$1/redis/redis.pid"; do [ -f "$file" ] && pids="$pids $(head -n 1 "$file")"; done',
  'kill -INT $pids 2>/dev/null; sleep 1; kill -KILL $pids 2>/dev/null; rm -rf "$1"',
].join('\n');

/** Starts both servers. Postgres does not wait for the disk: test data need not survive a power cut. */
export async function startTestServers(): Promise<TestServers> {
  const dir = await mkdtemp(path.join(tmpdir(), 'moraine-test-'));
  const watchdog = spawn('sh', ['-c', WATCHDOG, 'watchdog', dir], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  watchdog.unref();
  const settings = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '300' };
  const [postgres, redis] = await Promise.all([
    startPostgres({
      dir: path.join(dir, 'pg'),
      logFile: path.join(dir, 'postgres.log'),
      database: 'postgres',
      settings,
    }),
    startRedis({
      dir: path.join(dir, 'redis'),
      logFile: path.join(dir, 'redis.log'),
      settings: { databases: String(REDIS_DATABASES) },
    }),
  ]);

  const urlOf = (database: string) => Object.assign(new URL(postgres.url), { pathname: `/${database}` }).href;
  const admin = new pg.Client({ connectionString: urlOf('postgres') });
  admin.on('error', () => {});
  await admin.connect();
  let template: Promise<unknown> | null = null;
  let count = 0;
  // One at a time: Postgres refuses to copy a template that somebody is copying.
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const next = last.then(work);
    last = next.catch(() => undefined);
    return next;
  };

  return {
    createDatabase: (kind) =>
      inTurn(async () => {
        const name = `test_${++count}`;
        if (kind === 'migrated') {
          template ??= migrate(urlOf('template_migrated')).catch((error: unknown) => {
            template = null;
            throw error;
          });
          await template;
        }
        await admin.query(`CREATE DATABASE ${name}${kind === 'migrated' ? ' TEMPLATE template_migrated' : ''}`);
        return { databaseUrl: urlOf(name), redisUrl: `${redis.url}/${count % REDIS_DATABASES}` };
      }),
    async stop() {
      await last;
      await admin.end();
      await Promise.all([postgres.stop(), redis.stop()]);
      watchdog.kill('SIGKILL');
      await rm(dir, { recursive: true, force: true });
    },
  };
}
