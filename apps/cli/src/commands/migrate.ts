import { AppError } from '@moraine/contract';
import { type Command, noMoreThan } from '../args.js';
import { chosenApiKey, databaseUrl, redisUrl } from '../env.js';
import { print } from '../terminal.js';
import { prepare } from '../up/prepare.js';

export const migrateCommand: Command = {
  name: 'migrate',
  forms: ['    MORAINE_API_KEY=mk-… sets the key, which is not printed then'],
  options: {},
  run: async (args) => {
    noMoreThan(args, 0, migrateCommand);
    const database = databaseUrl();
    if (!database)
      throw new AppError('invalid_request', 'DATABASE_URL is not set.', {
        hint: 'Set it to the Postgres to migrate; the embedded one is migrated by `moraine up`.',
      });
    // Neither Redis nor blobs are touched; the program that does it reads the whole environment of the API.
    const env = { DATABASE_URL: database, REDIS_URL: redisUrl() ?? 'redis://127.0.0.1:6379', MORAINE_BLOBS: 'unused' };
    const given = chosenApiKey() ?? null;
    const key = await prepare(env, given);
    // One that was given is known already, and what a container prints is kept as its log.
    print(key === given ? 'The database is up to date; MORAINE_API_KEY is a root key.' : key);
    return 0;
  },
};
