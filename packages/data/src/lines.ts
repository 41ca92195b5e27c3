import { createReadStream } from 'node:fs';

/** A line of a file with its number from 1; `bytes` end before LF (a CR stays: JSON takes it for white space). `isTooLong` lines come without their bytes. */
export interface Line {
  number: number;
  bytes: Buffer;
  isTooLong: boolean;
}

const NEWLINE = 0x0a;

/** A row longer than this is refused: 16 MiB. */
export const LINE_BYTES_MAX = 16 * 1024 * 1024;

/** Streams the lines of a file; the last may lack its end. Memory stays at one line and one chunk. */
export async function* readLines(file: string, lineBytesMax = LINE_BYTES_MAX): AsyncGenerator<Line> {
  let parts: Buffer[] = [];
  let size = 0;
  let number = 0;
  const take = (): Line => {
    number += 1;
    const isTooLong = size > lineBytesMax;
    const bytes = isTooLong ? Buffer.alloc(0) : Buffer.concat(parts);
    parts = [];
    size = 0;
    return { number, bytes, isTooLong };
  };
  const keep = (chunk: Buffer): void => {
    size += chunk.length;
    if (size <= lineBytesMax) parts.push(chunk);
    else parts = [];
  };
  for await (const data of createReadStream(file)) {
    const chunk = data as Buffer;
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      keep(chunk.subarray(start, end));
      yield take();
      start = end + 1;
    }
    if (start < chunk.length) keep(chunk.subarray(start));
  }
  if (size > 0) yield take();
}
