import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { makeFolder } from '@moraine/contract/make-folder';
import { type LazyTensor, type StoredTensor, safetensorsBytes, type WritableTensor } from '@moraine/engine';

/** A file of an export, made while it is read; files are read one after the other, in their order. */
export interface ExportFile {
  name: string;
  open(): { sizeBytes: number; pieces: Iterable<Uint8Array> };
}

export function textFile(name: string, text: () => string): ExportFile {
  return {
    name,
    open: () => {
      const bytes = Buffer.from(text());
      return { sizeBytes: bytes.length, pieces: [bytes] };
    },
  };
}

export const jsonFile = (name: string, value: () => unknown): ExportFile =>
  textFile(name, () => `${JSON.stringify(value(), null, 2)}\n`);

export const tensorsFile = (
  name: string,
  tensors: ReadonlyMap<string, WritableTensor | LazyTensor | StoredTensor>,
): ExportFile => ({
  name,
  open: () => {
    const { sizeBytes, pieces } = safetensorsBytes(tensors, { format: 'pt' });
    return { sizeBytes, pieces: pieces() };
  },
});

/** A small file as it is in a folder; nothing where it is not there. */
export function copiedFile(dir: string, name: string): ExportFile[] {
  const from = join(dir, name);
  if (!existsSync(from)) return [];
  return [
    {
      name,
      open: () => {
        const bytes = readFileSync(from);
        return { sizeBytes: bytes.length, pieces: [bytes] };
      },
    },
  ];
}

/** Writes files as a folder, which appears whole or not at all, in the place of an older one. */
export function writeFolder(dir: string, files: readonly ExportFile[]): void {
  const temporary = join(dirname(dir), `.tmp-${dir.slice(dirname(dir).length + 1)}`);
  rmSync(temporary, { recursive: true, force: true });
  makeFolder(temporary);
  try {
    for (const file of files) writeOne(join(temporary, file.name), file);
    rmSync(dir, { recursive: true, force: true });
    renameSync(temporary, dir);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** Adds small files to a folder. */
export function addFiles(dir: string, files: readonly ExportFile[]): void {
  for (const file of files) writeOne(join(dir, file.name), file);
}

/** A call of the system writes at most 2 GiB. */
const CHUNK_BYTES = 2 ** 30;

function writeOne(path: string, file: ExportFile): void {
  makeFolder(dirname(path));
  const to = openSync(path, 'wx');
  try {
    for (const piece of file.open().pieces)
      for (let done = 0; done < piece.length; )
        done += writeSync(to, piece, done, Math.min(CHUNK_BYTES, piece.length - done));
    fsyncSync(to);
  } finally {
    closeSync(to);
  }
}
