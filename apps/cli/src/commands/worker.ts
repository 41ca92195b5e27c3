import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { AppError } from '@moraine/contract';
import { type Command, DATA_OPTION, noMoreThan, text } from '../args.js';
import { childEnv, databaseUrl, isSet, redisUrl } from '../env.js';
import { dataDirFor, inRepo } from '../paths.js';
import { readStack } from '../up/stack-file.js';

export const workerCommand: Command = {
  name: 'worker',
  forms: ['[--pool POOL] [--name NAME] [--data DIR]'],
  options: {
    pool: { type: 'string', value: 'POOL', help: 'Pool whose runs it takes; default MORAINE_POOL or default.' },
    name: { type: 'string', value: 'NAME', help: 'Name on the page of workers; default that of this machine.' },
    data: DATA_OPTION,
  },
  run: async (args) => {
    noMoreThan(args, 0, workerCommand);
    const settings = workerSettings(dataDirFor(text(args, 'data')));
    const given = { MORAINE_POOL: text(args, 'pool'), MORAINE_WORKER_NAME: text(args, 'name') };
    for (const [name, value] of Object.entries(given)) if (value !== undefined) settings[name] = value;
    const child = spawn(process.execPath, [inRepo('apps/worker/dist/main.js')], {
      env: childEnv(settings),
      stdio: 'inherit',
    });
    // Ctrl-C in a terminal reaches it by itself.
    const pass = (): boolean => child.kill('SIGTERM');
    const stay = (): void => undefined;
    process.on('SIGTERM', pass).on('SIGINT', stay);
    const [code] = (await once(child, 'exit')) as [number | null];
    process.off('SIGTERM', pass).off('SIGINT', stay);
    return code ?? 1;
  },
};

/**
 * What a worker of its own needs beside what the shell sets: the servers of the stack on this data folder, its blobs, and scratch space there.
 * @throws AppError `invalid_value` where no servers are named and no stack has run here.
 */
export function workerSettings(dataDir: string): Record<string, string> {
  const stack = readStack(dataDir);
  const database = databaseUrl() ?? stack.postgres?.url;
  const redis = redisUrl() ?? stack.redis?.url;
  if (database === undefined || redis === undefined)
    throw new AppError(
      'invalid_value',
      `${database === undefined ? 'DATABASE_URL' : 'REDIS_URL'} is not set, and no stack has run on ${dataDir}.`,
      {
        hint: 'Set DATABASE_URL, REDIS_URL and MORAINE_BLOBS to those of the API, or name the folder of a stack with --data DIR.',
      },
    );
  return {
    DATABASE_URL: database,
    REDIS_URL: redis,
    ...(!isSet('MORAINE_BLOBS') && { MORAINE_BLOBS: path.join(dataDir, 'blobs') }),
    ...(!isSet('MORAINE_WORK_DIR') && { MORAINE_WORK_DIR: path.join(dataDir, 'work', 'worker') }),
    ...(!isSet('LOG_FORMAT') && process.stdout.isTTY && { LOG_FORMAT: 'pretty' }),
  };
}
