import { utimesSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { makeFolder } from '@moraine/contract/make-folder';

const BEAT_MS = 1_000;

/**
 * Touches a file every second while this process' event loop turns: what started the process sees by it that it does not hang. With `say` the file also
 * holds what that returns. Touching takes no room, so a full disk does not look like a hang.
 */
export function startBeat(file: string, say?: () => string, everyMs = BEAT_MS): { close(): void } {
  const touch = (): void => {
    const now = new Date();
    utimesSync(file, now, now);
  };
  const write = (): void => {
    makeFolder(dirname(file));
    writeFileSync(file, say?.() ?? '');
  };
  const [first, second] = say ? [write, touch] : [touch, write];
  const beat = (): void => {
    try {
      first();
    } catch {
      try {
        second();
      } catch {
        // Without the file the process counts as alive for as long as it is there.
      }
    }
  };
  beat();
  const timer = setInterval(beat, everyMs).unref();
  return { close: () => clearInterval(timer) };
}
