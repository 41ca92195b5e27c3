import { closeSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { AppError, type ErrorCode } from '@moraine/contract';
import { isNestedDeeper, JSON_DEPTH_MAX } from '@moraine/contract/plan';
import { headerEnd, parseHeader, SafetensorsError, type SafetensorsHeader } from '@moraine/contract/safetensors';

/** A file of a folder that somebody sent: what it is called there, and where its bytes are. */
export interface StoredFile {
  name: string;
  path: string;
  sizeBytes: number;
}

/** Files that somebody sent, read by name, one at a time; what is wrong with one is said under this code. */
export class StoredFolder {
  private readonly files: ReadonlyMap<string, StoredFile>;
  constructor(
    files: readonly StoredFile[],
    private readonly code: ErrorCode,
  ) {
    this.files = new Map(files.map((file) => [file.name, file]));
  }

  get names(): string[] {
    return [...this.files.keys()];
  }

  sizeOf = (name: string): number => this.find(name).sizeBytes;

  /** The text of a file of at most `bytesMax`; null where there is none of that name. @throws AppError for a longer one. */
  text(name: string, bytesMax: number): string | null {
    const file = this.files.get(name);
    if (file === undefined) return null;
    if (file.sizeBytes <= bytesMax) return readFileSync(file.path, 'utf8');
    throw new AppError(this.code, `${name} has ${file.sizeBytes} bytes; ${bytesMax} are enough for it here.`, {
      param: name,
      hint: 'Send the file as the model came with it.',
    });
  }

  /** @throws AppError for what is missing, longer than `bytesMax`, no JSON, or nested too deep. */
  json(name: string, bytesMax: number): unknown {
    const text = this.text(this.find(name).name, bytesMax) ?? '';
    return parseUserJson(text, name, this.code);
  }

  /** The header of a safetensors file. @throws SafetensorsError for what it cannot be. */
  header(name: string, bytesMax: number): SafetensorsHeader {
    const { path } = this.find(name);
    return withFile(path, (fd) => {
      const fileBytes = fstatSync(fd).size;
      const end = headerEnd(readBytes(fd, 0, Math.min(8, fileBytes)), fileBytes, bytesMax);
      return parseHeader(readBytes(fd, 0, end), fileBytes);
    });
  }

  /** Bytes `[begin, end)` of a file, `pieceBytes` at a time. */
  *pieces(name: string, begin: number, end: number, pieceBytes: number): Generator<Buffer> {
    const fd = openSync(this.find(name).path, 'r');
    try {
      for (let at = begin; at < end; at += pieceBytes) yield readBytes(fd, at, Math.min(pieceBytes, end - at));
    } finally {
      closeSync(fd);
    }
  }

  private find(name: string): StoredFile {
    const file = this.files.get(name);
    if (file) return file;
    throw new AppError(this.code, `The upload has no ${name}.`, {
      param: 'files',
      hint: `Send it too; ${this.files.size} files came: ${this.names.slice(0, 10).join(', ') || 'none'}.`,
    });
  }
}

/** @throws AppError of this code for a text that is no JSON, or nested too deep for whoever reads it. */
export function parseUserJson(text: string, name: string, code: ErrorCode, called = name): unknown {
  const hint = 'Send the file as the model came with it.';
  if (isNestedDeeper(text))
    throw new AppError(code, `${called} is nested more than ${JSON_DEPTH_MAX} levels deep.`, { param: name, hint });
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (cause) {
    throw new AppError(code, `${called} is not JSON: ${String(cause)}.`, { param: name, hint, cause });
  }
}

function withFile<T>(path: string, use: (fd: number) => T): T {
  const fd = openSync(path, 'r');
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

function readBytes(fd: number, at: number, count: number): Buffer {
  const bytes = Buffer.alloc(count);
  let read = 0;
  while (read < count) {
    const now = readSync(fd, bytes, read, count - read, at + read);
    if (now === 0) throw new SafetensorsError(`it ends at byte ${at + read}`);
    read += now;
  }
  return bytes;
}
