import { utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolder } from '@moraine/contract/make-folder';

const BEAT_MS = 1_000;

/**
 * Touches `alive` in the worker's folder every second while this process' event loop turns: what started the worker sees by it that it does
 * not hang. Touching takes no room, so a full disk does not look like a hang.
 */
export function startBeat(workDir: string, everyMs = BEAT_MS): { close(): void } {
  const file = join(workDir, 'alive');
  const beat = (): void => {
    const now = new Date();
    try {
      utimesSync(file, now, now);
    } catch {
      makeFolder(workDir);
      writeFileSync(file, '');
    }
  };
  const touch = (): void => {
    try {
      beat();
    } catch {
      // Without the file the worker counts as alive for as long as its process is there.
    }
  };
  touch();
  const timer = setInterval(touch, everyMs).unref();
  return { close: () => clearInterval(timer) };
}
