import { createReadStream } from 'node:fs';
import { AppError } from '@moraine/contract';

/** Streams a file as text, without a byte order mark. @throws AppError `invalid_file` where it is not UTF-8. */
export async function* readText(file: string): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  try {
    for await (const chunk of createReadStream(file)) yield decoder.decode(chunk as Buffer, { stream: true });
    yield decoder.decode();
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    throw new AppError('invalid_file', `${file} holds bytes that are not UTF-8.`, {
      hint: 'Save it as UTF-8: iconv -f LATIN1 -t UTF-8 on a command line, say.',
      cause,
    });
  }
}
