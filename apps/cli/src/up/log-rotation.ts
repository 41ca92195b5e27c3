import {
  appendFileSync,
  closeSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
} from 'node:fs';

/** How large a log may become, and how many full ones are kept beside it as `<name>.1` (the newest) to `<name>.N`. */
export interface LogLimits {
  bytesMax: number;
  kept: number;
}

const EVERY_MS = 5_000;
const PIECE_BYTES = 1024 ** 2;

/** Moves the kept logs one place on, so that `<name>.1` is free; the oldest goes. */
function shift(file: string, kept: number): void {
  rmSync(`${file}.${kept}`, { force: true });
  for (let i = kept - 1; i >= 1; i--)
    if (statSync(`${file}.${i}`, { throwIfNoEntry: false })) renameSync(`${file}.${i}`, `${file}.${i + 1}`);
}

/** Sets a log aside that nobody writes to; true when it was larger than it may be. */
export function setAside(file: string, { bytesMax, kept }: LogLimits): boolean {
  if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) <= bytesMax) return false;
  shift(file, kept);
  renameSync(file, `${file}.1`);
  return true;
}

/**
 * The same while a process writes to it: its writer, who appends, goes on in the same file, which is copied and then emptied. Lines that come
 * during the copy are copied as well, up to the moment before it is emptied. On a disk without room the kept logs go first.
 */
export function rotate(file: string, { bytesMax, kept }: LogLimits): boolean {
  if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) <= bytesMax) return false;
  shift(file, kept);
  try {
    moveContent(file, `${file}.1`);
  } catch {
    for (let i = 1; i <= kept; i++) rmSync(`${file}.${i}`, { force: true });
    truncateSync(file);
  }
  return true;
}

/** Nothing stands between the last look at the size and the emptying: what is written there is lost. */
function moveContent(from: string, to: string): void {
  const fd = openSync(from, 'r+');
  const piece = Buffer.alloc(PIECE_BYTES);
  try {
    for (let at = 0; at < fstatSync(fd).size; ) {
      const read = readSync(fd, piece, 0, piece.length, at);
      appendFileSync(to, piece.subarray(0, read), { mode: 0o600 });
      at += read;
    }
    ftruncateSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Looks after logs while their parts run, until the returned function is called. */
export function keepLogsSmall(files: () => readonly string[], limits: LogLimits, everyMs = EVERY_MS): () => void {
  const timer = setInterval(() => {
    for (const file of files()) {
      try {
        rotate(file, limits);
      } catch {
        // A log that cannot be rotated now is looked at again; the part goes on.
      }
    }
  }, everyMs);
  timer.unref();
  return () => clearInterval(timer);
}
