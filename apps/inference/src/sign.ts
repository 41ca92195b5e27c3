import { utimesSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { makeFolder } from '@moraine/contract/make-folder';

const EVERY_MS = 1_000;

/**
 * Writes into a file, every second while this process' event loop turns, for how many milliseconds nobody has asked it: what started the process
 * sees that it does not hang, and which of several was wanted the longest ago. Without a file nothing is written.
 */
export function startSign(file: string | undefined, idleMs: () => number, everyMs = EVERY_MS): { close(): void } {
  if (file === undefined) return { close: () => undefined };
  const sign = (): void => {
    try {
      makeFolder(dirname(file));
      writeFileSync(file, String(Math.round(idleMs())));
    } catch {
      touch(file);
    }
  };
  sign();
  const timer = setInterval(sign, everyMs).unref();
  return { close: () => clearInterval(timer) };
}

/** A full disk is no hang, and touching takes no room. */
function touch(file: string): void {
  try {
    const now = new Date();
    utimesSync(file, now, now);
  } catch {
    // Without the file the process counts as alive for as long as it is there.
  }
}
