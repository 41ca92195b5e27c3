import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { AppError } from '@moraine/contract';
import { childEnv, databaseUrl, isSet, redisUrl } from './env.js';
import { inRepo } from './paths.js';
import { readStack } from './up/stack-file.js';

/**
 * What a program of a stack needs beside what the shell sets: the servers of the stack on this data folder, its blobs, and a folder `work` of its own
 * there to work in.
 * @throws AppError `invalid_value` where no servers are named and no stack has run here.
 */
export function programSettings(dataDir: string, work: string): Record<string, string> {
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
    ...(!isSet('MORAINE_WORK_DIR') && { MORAINE_WORK_DIR: path.join(dataDir, 'work', work) }),
    ...(!isSet('LOG_FORMAT') && process.stdout.isTTY && { LOG_FORMAT: 'pretty' }),
  };
}

/** Runs a program of ours in this terminal until it ends; `given` wins over the settings where it has a value. Returns its exit status. */
export async function runProgram(
  entry: string,
  settings: Readonly<Record<string, string>>,
  given: Readonly<Record<string, string | undefined>>,
): Promise<number> {
  const set = Object.entries(given).filter((one): one is [string, string] => one[1] !== undefined);
  const child = spawn(process.execPath, [inRepo(entry)], {
    env: childEnv({ ...settings, ...Object.fromEntries(set) }),
    // By the channel it notices when this process is killed, and ends as if it had been asked to.
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  // Ctrl-C in a terminal reaches it by itself.
  const pass = (): boolean => child.kill('SIGTERM');
  const stay = (): void => undefined;
  process.on('SIGTERM', pass).on('SIGINT', stay);
  const [code] = (await once(child, 'exit')) as [number | null];
  process.off('SIGTERM', pass).off('SIGINT', stay);
  return code ?? 1;
}
