import { join } from 'node:path';
import { type PostgresOptions, type RunningServer, startPostgres, startRedis } from 'moraine/up';

export type ServerName = 'postgres' | 'redis';

/** A Postgres and a Redis of one test alone, because it kills them. */
export interface OwnServers {
  databaseUrl: string;
  redisUrl: string;
  postgres(): RunningServer;
  redis(): RunningServer;
  /** Ends them as a crash does, at once. */
  kill(...names: ServerName[]): Promise<void>;
  /** Starts what was killed, at the same address. */
  start(...names: ServerName[]): Promise<void>;
  stop(): Promise<void>;
}

/** @param dir of their data and logs @param settings of Postgres @param env further variables of their environments */
export async function startOwnServers(
  dir: string,
  settings: PostgresOptions['settings'],
  env: Record<ServerName, Record<string, string>> = { postgres: {}, redis: {} },
): Promise<OwnServers> {
  const starting = {
    postgres: () =>
      startPostgres({ dir: join(dir, 'pg'), logFile: join(dir, 'postgres.log'), settings, env: env.postgres }),
    redis: () => startRedis({ dir: join(dir, 'redis'), logFile: join(dir, 'redis.log'), env: env.redis }),
  };
  const [postgres, redis] = await Promise.all([starting.postgres(), starting.redis()]);
  const servers = { postgres, redis };
  return {
    databaseUrl: postgres.url,
    redisUrl: redis.url,
    postgres: () => servers.postgres,
    redis: () => servers.redis,
    async kill(...names) {
      for (const name of names) process.kill(servers[name].id.pid, 'SIGKILL');
      await Promise.all(names.map((name) => servers[name].ended));
    },
    async start(...names) {
      await Promise.all(
        names.map(async (name) => {
          servers[name] = await starting[name]();
        }),
      );
    },
    async stop() {
      await Promise.all([servers.postgres.stop(), servers.redis.stop()]);
    },
  };
}
