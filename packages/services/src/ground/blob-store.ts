import type { Readable } from 'node:stream';

export interface StoredBlob {
  sizeBytes: number;
  /** Of the bytes of a file; of the sorted `path sha256` lines of a folder. Hex. */
  sha256: string;
}

export interface BlobEntry {
  /** Path below the listed prefix, with forward slashes. */
  path: string;
  sizeBytes: number;
  modifiedAt: Date;
}

/**
 * Bytes by key. Keys are relative paths with forward slashes, made by us and never by a caller.
 * A key appears whole or not at all, and is never overwritten by other bytes.
 */
export interface BlobStore {
  /** Stores a stream. @throws AppError `file_too_large` beyond `sizeBytesMax`, `storage_full` without room; nothing is left behind. */
  put(key: string, stream: Readable, options?: { sizeBytesMax?: number }): Promise<StoredBlob>;
  /** Stores a finished folder below `prefix`, file by file. @throws AppError `storage_full`. */
  putDir(prefix: string, dir: string): Promise<StoredBlob>;
  /** @throws AppError `not_found` when there is no such key. */
  open(key: string, range?: { start: number; end: number }): Promise<Readable>;
  /** Bytes of a key, or null when there is none. */
  size(key: string): Promise<number | null>;
  /** All files below a prefix, sorted by path. */
  list(prefix: string): Promise<BlobEntry[]>;
  /** Removes a key, or everything below a prefix. Nothing there is no error. */
  remove(prefix: string): Promise<void>;
  /** Moves a key or a whole prefix; `to` must not exist. */
  move(from: string, to: string): Promise<void>;
  /** Where the bytes lie on this machine, or null when they are elsewhere. Read only. */
  localPath(key: string): string | null;
}
