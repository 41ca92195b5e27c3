import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { AppError } from '@moraine/contract';
import { childEnv } from '../env.js';
import { inRepo } from '../paths.js';

const run = promisify(execFile);

/**
 * Brings the database up to date, with a default project and a root key. It is the API's own program that does it: this command knows
 * nothing of tables. Returns the key: the one given when the database knows it, else a new one.
 */
export async function prepare(env: Record<string, string>, apiKey: string | null): Promise<string> {
  const given: Record<string, string> = apiKey === null ? {} : { MORAINE_API_KEY: apiKey };
  try {
    const { stdout } = await run(process.execPath, [inRepo('apps/api/dist/prepare.js')], {
      env: childEnv({ ...env, ...given }),
      cwd: inRepo(),
    });
    return stdout.trim();
  } catch (error) {
    const { stderr } = error as { stderr?: string };
    throw new AppError('storage', (stderr ?? '').trim() || String(error), { cause: error });
  }
}
