import { createHash } from 'node:crypto';
import { createReadStream, existsSync, openAsBlob, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { AppError, ERROR_CODES, type FileObject, parse } from '@moraine/contract';
import type { Client } from '@moraine/contract/client';
import { makeFolder } from '@moraine/contract/make-folder';
import { z } from 'zod';

/** A file of this machine that is sent. */
export interface Sent {
  path: string;
  sizeBytes: number;
  modifiedMs: number;
  purpose: string;
}

export interface PartsOptions {
  partBytes: number;
  /** Folder of notes on uploads that are not complete, by which a later call goes on. */
  notesDir: string;
  onProgress(doneBytes: number): void;
  /** First wait before a part is sent again; the next ones double. */
  waitMs?: number;
}

/** What was sent of a file: written after each part, whole or not at all. */
const Note = z.object({ upload: z.string(), parts: z.array(z.string()) });
type Note = z.infer<typeof Note>;

const TRIES = 6;
const WAIT_MS_MAX = 8_000;

/**
 * Uploads a file in parts, one after the other. A part that is cut is sent again; a call that was cut goes on behind the last whole part, within the
 * hour that the server keeps them, if the file has not changed. The server checks the MD5 of the whole.
 * @throws AppError what the server refuses; `unavailable` where it stays away.
 */
export async function uploadInParts(client: Client, file: Sent, options: PartsOptions): Promise<FileObject> {
  const noted = noteOf(client, file, options);
  const before = noted.read();
  try {
    return await sendAll(client, file, options, before ?? (await begin(client, file)), noted);
  } catch (error) {
    const isOver = error instanceof AppError && (error.code === 'not_found' || error.code === 'conflict');
    if (isOver || (error instanceof AppError && !ERROR_CODES[error.code].retryable)) noted.forget();
    // What an earlier call began has expired meanwhile.
    if (!isOver || before === null) throw error;
    return sendAll(client, file, options, await begin(client, file), noted);
  }
}

async function begin(client: Client, { path: file, sizeBytes, purpose }: Sent): Promise<Note> {
  const body = { filename: path.basename(file), purpose, bytes: sizeBytes, mime_type: 'text/jsonl' };
  return { upload: (await client.call('createUpload', { body })).id, parts: [] };
}

async function sendAll(
  client: Client,
  file: Sent,
  { partBytes, onProgress, waitMs = 500 }: PartsOptions,
  { upload, parts }: Note,
  noted: Noted,
): Promise<FileObject> {
  const bytes = await openAsBlob(file.path);
  const params = { id: upload };
  const sent = [...parts];
  for (let from = sent.length * partBytes; from < file.sizeBytes; from = sent.length * partBytes) {
    onProgress(from);
    const part = await untilSent(waitMs, () => {
      const form = new FormData();
      form.append('data', bytes.slice(from, from + partBytes));
      return client.call('addUploadPart', { params, body: form });
    });
    sent.push(part.id);
    noted.write({ upload, parts: sent });
  }
  onProgress(file.sizeBytes);
  const body = { part_ids: sent, md5: await md5Of(file.path) };
  const complete = await untilSent(waitMs, () => client.call('completeUpload', { params, body }));
  noted.forget();
  if (complete.file) return complete.file;
  throw new AppError('internal', `${upload} is complete, but the server names no file.`);
}

/** Sends until it is taken, a few times where the server or the way to it fails. */
async function untilSent<T>(waitMs: number, send: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await send();
    } catch (error) {
      const mayPass = error instanceof AppError && ERROR_CODES[error.code].retryable && error.code !== 'storage_full';
      if (!mayPass || tries === TRIES) throw error;
      await sleep(Math.min(WAIT_MS_MAX, waitMs * 2 ** (tries - 1)));
    }
  }
}

async function md5Of(file: string): Promise<string> {
  const hash = createHash('md5');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

interface Noted {
  read(): Note | null;
  write(note: Note): void;
  forget(): void;
}

/** The note on a file as it is now, for one server and one size of parts. */
function noteOf(client: Client, file: Sent, { notesDir, partBytes }: PartsOptions): Noted {
  const key = JSON.stringify([client.url('createUpload'), file, partBytes]);
  const at = path.join(notesDir, `${createHash('sha256').update(key).digest('hex')}.json`);
  return {
    read() {
      if (!existsSync(at)) return null;
      try {
        return parse(Note, JSON.parse(readFileSync(at, 'utf8')));
      } catch {
        return null;
      }
    },
    write(note) {
      makeFolder(notesDir);
      writeFileSync(`${at}.new`, JSON.stringify(note));
      renameSync(`${at}.new`, at);
    },
    forget: () => rmSync(at, { force: true }),
  };
}
