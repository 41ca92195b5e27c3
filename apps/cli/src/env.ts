import path from 'node:path';

const set = (value: string | undefined): string | undefined =>
  value === undefined || value === '' ? undefined : value;

export const searchPath = (): string[] => (process.env.PATH ?? '').split(path.delimiter).filter((dir) => dir !== '');

/** Folder of the stack's data, if given. */
export const dataDir = (): string | undefined => set(process.env.MORAINE_DATA);

/** A Postgres of the user's own instead of the embedded one. */
export const databaseUrl = (): string | undefined => set(process.env.DATABASE_URL);

/** A Redis of the user's own instead of the embedded one. */
export const redisUrl = (): string | undefined => set(process.env.REDIS_URL);

/** The whole environment for a child, with `extra` on top. */
export const childEnv = (extra: Record<string, string>): NodeJS.ProcessEnv => ({ ...process.env, ...extra });
