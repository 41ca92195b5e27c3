import { closeSync, openSync, readSync } from 'node:fs';

/** Versions of the system's libraries that a program asks for; undefined where it asks for none. */
export interface Needs {
  /** For example `2.28`. */
  glibc: string | undefined;
  /** For example `GLIBCXX_3.4.29`, as it is written in libstdc++. */
  libstdcxx: string | undefined;
}

const CHUNK = 1 << 24;
/** Longer than any version's name. */
const OVERLAP = 64;

/**
 * The newest versions of glibc and libstdc++ that any of these files names. The names are strings of an ELF file's dynamic symbol
 * table, so it is enough to look for them, each between two zero bytes; files of other kinds are passed over.
 */
export function newestNeeds(files: readonly string[]): Needs {
  const found = { GLIBC_: '', GLIBCXX_: '' };
  const buffer = Buffer.allocUnsafe(CHUNK + OVERLAP);
  for (const file of files) {
    const handle = openSync(file, 'r');
    try {
      for (let at = 0, size = CHUNK; size === CHUNK; at += CHUNK) {
        size = readSync(handle, buffer, 0, CHUNK + OVERLAP, at);
        if (at === 0 && buffer.toString('latin1', 0, 4) !== '\x7fELF') break;
        const bytes = buffer.subarray(0, size);
        for (const name of ['GLIBC_', 'GLIBCXX_'] as const) found[name] = newest(found[name], versionsIn(bytes, name));
        size = Math.min(size, CHUNK);
      }
    } finally {
      closeSync(handle);
    }
  }
  return {
    glibc: found.GLIBC_ || undefined,
    libstdcxx: found.GLIBCXX_ === '' ? undefined : `GLIBCXX_${found.GLIBCXX_}`,
  };
}

function versionsIn(bytes: Buffer, name: string): string[] {
  const versions: string[] = [];
  const mark = Buffer.from(`\0${name}`);
  for (let at = bytes.indexOf(mark); at >= 0; at = bytes.indexOf(mark, at + 1)) {
    const text = bytes.toString('latin1', at + mark.length, at + OVERLAP);
    const version = /^(\d+(?:\.\d+)+)\0/.exec(text)?.[1];
    if (version !== undefined) versions.push(version);
  }
  return versions;
}

const newest = (first: string, others: readonly string[]): string =>
  others.reduce((best, other) => (isNewer(other, best) ? other : best), first);

function isNewer(a: string, b: string): boolean {
  const [x, y] = [a.split('.').map(Number), b.split('.').map(Number)];
  for (let i = 0; i < Math.max(x.length, y.length); i++) {
    if ((x[i] ?? 0) !== (y[i] ?? 0)) return (x[i] ?? 0) > (y[i] ?? 0);
  }
  return false;
}
