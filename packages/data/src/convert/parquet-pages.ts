import type { FileHandle } from 'node:fs/promises';
import type { DecodedArray } from 'hyparquet';
import { parquetHeader, readPage } from 'hyparquet/src/column.js';
import { convert } from 'hyparquet/src/convert.js';

/** What `hyparquet` needs to know to read the pages of a column. */
export type ColumnDecoder = Parameters<typeof readPage>[2];

const HEADER_BYTES = 1 << 12;
/** A header holds the least and the greatest text of its page. */
const HEADER_BYTES_MAX = 1 << 24;
const PAGE_BYTES_MAX = 1 << 29;

/** Reads bytes of a file. @throws Error where it ends before them. */
export async function readBytes(file: FileHandle, start: number, end: number): Promise<ArrayBuffer> {
  const bytes = Buffer.alloc(end - start);
  const { bytesRead } = await file.read(bytes, 0, bytes.length, start);
  if (bytesRead < bytes.length) throw new Error(`the file ends at byte ${start + bytesRead}`);
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer;
}

/** The values of one column of a row group, a page of them in memory: what a table's row groups hold is not bounded. */
export class ColumnPages {
  /** Read and not taken yet. */
  private rows: unknown[] = [];
  private dictionary: DecodedArray | undefined;

  constructor(
    private readonly file: FileHandle,
    private at: number,
    private readonly end: number,
    private readonly decoder: ColumnDecoder,
  ) {}

  get path(): string {
    return this.decoder.pathInSchema.join('.');
  }

  /** How many rows are whole: the last one read may go on in the next page. */
  get ready(): number {
    return this.at >= this.end ? this.rows.length : Math.max(0, this.rows.length - 1);
  }

  /** Reads on until a row is whole, or the column ends. */
  async fill(): Promise<void> {
    while (this.ready === 0 && this.at < this.end) await this.readNext();
  }

  take(count: number): unknown[] {
    return this.rows.splice(0, count);
  }

  private async readNext(): Promise<void> {
    const { header, length } = await this.readHeader();
    const begin = this.at + length;
    const { compressed_page_size: size, uncompressed_page_size: sizeWhole } = header;
    if (!(size >= 0 && sizeWhole >= 0 && sizeWhole <= PAGE_BYTES_MAX && begin + size <= this.end))
      throw new Error(`a page of ${sizeWhole} bytes at byte ${this.at} is not in its column`);
    const reader = { view: new DataView(await readBytes(this.file, begin, begin + size)), offset: 0 };
    this.at = begin + size;
    const { data } = readPage(reader, header, this.decoder, this.dictionary, this.rows, 0);
    if (data === undefined) return;
    if (header.type === 'DICTIONARY_PAGE') this.dictionary = convert(data, this.decoder);
    else if (data !== this.rows) for (const value of data) this.rows.push(value);
  }

  private async readHeader(): Promise<{ header: ReturnType<typeof parquetHeader>; length: number }> {
    for (let size = HEADER_BYTES; ; size *= 4) {
      const end = Math.min(this.end, this.at + size);
      const reader = { view: new DataView(await readBytes(this.file, this.at, end)), offset: 0 };
      try {
        const header = parquetHeader(reader);
        return { header, length: reader.offset };
      } catch (cause) {
        if (!(cause instanceof RangeError) || end === this.end || size >= HEADER_BYTES_MAX) throw cause;
      }
    }
  }
}
