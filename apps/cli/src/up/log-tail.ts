import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';

export interface LogTail {
  /** Reads what is there and stops. */
  close(): void;
}

/** Hands over each line that is appended to a file from now on. The file may not exist yet, and may be replaced. */
export function tailLog(file: string, onLine: (line: string) => void): LogTail {
  let fd: number | null = null;
  let position = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  let inode = statSync(file, { throwIfNoEntry: false })?.ino;
  let rest = '';
  const buffer = Buffer.alloc(65_536);
  const decoder = new StringDecoder('utf8');

  const look = (): void => {
    const now = statSync(file, { throwIfNoEntry: false });
    if (!now) return;
    if (fd === null || now.ino !== inode) {
      if (fd !== null) closeSync(fd);
      if (inode !== undefined && now.ino !== inode) position = 0;
      fd = openSync(file, 'r');
      inode = now.ino;
    }
    if (fstatSync(fd).size < position) position = 0;
    for (;;) {
      const n = readSync(fd, buffer, 0, buffer.length, position);
      if (n === 0) break;
      position += n;
      rest += decoder.write(buffer.subarray(0, n));
      const lines = rest.split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) onLine(line);
    }
  };
  const timer = setInterval(look, 100);
  timer.unref();
  return {
    close() {
      clearInterval(timer);
      look();
      if (fd !== null) closeSync(fd);
    },
  };
}
