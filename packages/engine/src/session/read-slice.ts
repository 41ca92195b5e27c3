import { closeSync, openSync, readSync } from 'node:fs';
import { decode } from '../dtype.js';
import { EngineError } from '../error.js';
import type { FileSlice } from './types.js';

/** The numbers of a slice as float32. @throws EngineError `weights_unreadable`. */
export function readSlice({ path, offset, bytes, dtype }: FileSlice): Float32Array {
  const buffer = new ArrayBuffer(bytes);
  const fd = openSync(path, 'r');
  try {
    for (let done = 0; done < bytes; ) {
      const read = readSync(fd, new Uint8Array(buffer), done, Math.min(2 ** 30, bytes - done), offset + done);
      if (read === 0) throw new EngineError('weights_unreadable', `${path} ends early.`, 'Fetch the file again.');
      done += read;
    }
  } finally {
    closeSync(fd);
  }
  const values = decode(dtype, buffer);
  if (values instanceof Float32Array) return values;
  throw new EngineError('weights_unreadable', `${path} holds ${dtype} where weights belong.`, 'Use a floating type.');
}
