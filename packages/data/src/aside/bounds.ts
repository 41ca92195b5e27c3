import type { Bounds } from './run-aside.js';

/** What a process of this project's code takes before it reads anything, and room to work in. */
const HEAP_MB = 192;
/** Of each byte of a tokenizer's texts: the largest vocabularies of today, 262,144 tokens in 33 MB, take 700 MB. */
const HEAP_A_BYTE = 24;
/** Slower than any disk that a server should have. */
const BYTES_A_SECOND = 20 * 2 ** 20;

/** What reading rows with a tokenizer of these texts may take beside it: what is kept of each row while its file is read. */
export function rowBoundsFor(files: Readonly<Record<string, string>>, rowsMb: number): Bounds {
  const { seconds, megabytes } = boundsFor({
    textBytes: Object.values(files).reduce((sum, text) => sum + text.length, 0),
  });
  return { seconds, megabytes: megabytes + rowsMb };
}

/** What reading files that somebody sent may take: in proportion to their size, so that a small file never takes much. */
export function boundsFor({ textBytes = 0, dataBytes = 0 }: { textBytes?: number; dataBytes?: number }): Bounds {
  return {
    seconds: 60 + Math.ceil((textBytes + dataBytes) / BYTES_A_SECOND),
    megabytes: HEAP_MB + Math.ceil((HEAP_A_BYTE * textBytes) / 2 ** 20),
  };
}
