import { AppError } from '@moraine/contract';
import { type Command, noMoreThan } from '../args.js';
import { chosenApiKey, databaseUrl, redisUrl } from '../env.js';
import { print } from '../terminal.js';
import { prepare } from '../up/prepare.js';

export const migrateCommand: Command = {
  name: 'migrate',
  forms: ['    MORAINE_API_KEY=mk-… sets the key'],
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
    print(await prepare(env, chosenApiKey() ?? null));
    return 0;
  },
};
