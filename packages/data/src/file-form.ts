import { open } from 'node:fs/promises';
import type { RowProblem } from './row-problem.js';

const PARQUET = 'a Parquet table';

/** First bytes of files that are no text, longest first. */
const MAGIC: readonly [name: string, bytes: readonly number[]][] = [
  ['UTF-32 (little endian)', [0xff, 0xfe, 0, 0]],
  ['UTF-32 (big endian)', [0, 0, 0xfe, 0xff]],
  ['UTF-16 (little endian)', [0xff, 0xfe]],
  ['UTF-16 (big endian)', [0xfe, 0xff]],
  ['gzip-compressed', [0x1f, 0x8b]],
  ['xz-compressed', [0xfd, 0x37, 0x7a, 0x58, 0x5a]],
  ['zstd-compressed', [0x28, 0xb5, 0x2f, 0xfd]],
  ['bzip2-compressed', [0x42, 0x5a, 0x68]],
  ['a ZIP archive', [0x50, 0x4b, 0x03, 0x04]],
  [PARQUET, [0x50, 0x41, 0x52, 0x31]],
  ['an Arrow table', [0x41, 0x52, 0x52, 0x4f, 0x57, 0x31]],
  ['a PDF', [0x25, 0x50, 0x44, 0x46, 0x2d]],
];

const HEAD_BYTES = 4096;

/** Whether what a file is instead of text is a Parquet table, which is converted. */
export const isParquet = (problem: RowProblem | null): boolean => problem?.message === `The file is ${PARQUET}.`;

/** What a file is instead of lines of UTF-8, from its first bytes; null where it may be these. */
export async function formOfFile(file: string): Promise<RowProblem | null> {
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
    return describeForm(buffer.subarray(0, bytesRead));
  } finally {
    await handle.close();
  }
}

function describeForm(head: Uint8Array): RowProblem | null {
  const magic = MAGIC.find(([, bytes]) => bytes.length <= head.length && bytes.every((byte, i) => head[i] === byte));
  const name = magic?.[0] ?? wideJson(head) ?? wideText(head);
  if (name === null) return null;
  const isText = name.startsWith('UTF');
  return {
    key: '',
    code: 'invalid_encoding',
    message: `The file is ${name}.`,
    hint: isText
      ? 'Save it as UTF-8: iconv -f UTF-16 -t UTF-8 on a command line, or the encoding of the editor.'.replace(
          'UTF-16',
          iconvName(name),
        )
      : name.endsWith('compressed')
        ? 'Decompress it first: the rows are read as plain text, one JSON object a line.'
        : name === PARQUET
          ? 'Convert it first: npx moraine local convert FILE --out rows.jsonl.'
          : 'Write its rows as text, one JSON object a line (JSON Lines).',
  };
}

const iconvName = (name: string): string => name.replace(' (little endian)', 'LE').replace(' (big endian)', 'BE');

/**
 * UTF-16 or UTF-32 without a byte order mark, whatever is written in it: the first two letters of a JSON text are ASCII (RFC 4627, section 3),
 * and so are those of most tables.
 */
function wideJson(head: Uint8Array): string | null {
  const zeros = Array.from(head.subarray(0, 4), (byte) => (byte === 0 ? '0' : byte < 0x80 ? 'x' : '-')).join('');
  if (zeros === 'x0x0') return 'UTF-16 (little endian)';
  if (zeros === '0x0x') return 'UTF-16 (big endian)';
  if (zeros === 'x000' && isUtf32(head, true)) return 'UTF-32 (little endian)';
  if (zeros === '000x' && isUtf32(head, false)) return 'UTF-32 (big endian)';
  return null;
}

/** Whether bytes are the numbers of characters, NUL not among them: a crash leaves zeros as well. */
function isUtf32(head: Uint8Array, isLittle: boolean): boolean {
  const view = new DataView(head.buffer, head.byteOffset, head.length);
  for (let at = 0; at + 4 <= head.length; at += 4) {
    const letter = view.getUint32(at, isLittle);
    if (letter === 0 || letter > 0x10ffff) return false;
  }
  return true;
}

/** UTF-16 without a byte order mark that begins otherwise: every other byte of a text in Latin letters is NUL. */
function wideText(head: Uint8Array): string | null {
  const pairs = Math.floor(head.length / 2);
  if (pairs === 0) return null;
  let even = 0;
  let odd = 0;
  for (let i = 0; i < 2 * pairs; i += 2) {
    even += Number(head[i] === 0);
    odd += Number(head[i + 1] === 0);
  }
  if (odd > 0.4 * pairs && even < 0.1 * pairs) return 'UTF-16 (little endian)';
  if (even > 0.4 * pairs && odd < 0.1 * pairs) return 'UTF-16 (big endian)';
  return null;
}
