import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A disk of its own that can be filled. */
export interface SmallDisk {
  dir: string;
  /** Takes all the room but so many bytes. */
  fill(leaveBytes?: number): void;
  /** Gives it back. */
  free(): void;
  close(): void;
}

/** Mounts a small disk in memory; null where this user may not mount (tests that need one are skipped then, and say so). */
export function openSmallDisk(megabytes: number): SmallDisk | null {
  const dir = mkdtempSync(join(tmpdir(), 'moraine-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', dir], { stdio: 'ignore' });
  } catch {
    rmSync(dir, { recursive: true, force: true });
    return null;
  }
  const filler = join(dir, 'filler');
  return {
    dir,
    fill(leaveBytes = 0) {
      const { bavail, bsize } = statfsSync(dir);
      const pages = Math.max(0, bavail - Math.ceil(leaveBytes / bsize));
      try {
        writeFileSync(filler, Buffer.alloc(pages * bsize), { flag: 'a' });
      } catch {
        // Somebody else wrote meanwhile: it is full.
      }
    },
    free: () => rmSync(filler, { force: true }),
    close() {
      execFileSync('umount', ['-l', dir], { stdio: 'ignore' });
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
