import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AppError } from '@moraine/contract';
import { makeFolder } from '@moraine/contract/make-folder';
import { describeBytes } from './describe-bytes.js';
import { Hiccup, type Hub, persist } from './hub.js';
import { type HubFile, type HubRecord, resolvePath } from './read-record.js';
import { get } from './request.js';

/** Bytes of a file that are here already, whole or the beginning. */
export async function bytesHere(dir: string, file: HubFile): Promise<number> {
  const whole = await sizeOf(join(dir, file.name));
  return whole === file.sizeBytes ? whole : Math.min((await sizeOf(partOf(dir, file))) ?? 0, file.sizeBytes);
}

/** By its hash, so that another revision with the same file goes on with it, and one with another file does not. */
const partOf = (dir: string, { hash }: HubFile): string => join(dir, `${hash.hex}.part`);

const sizeOf = async (path: string): Promise<number | null> => (await stat(path).catch(() => null))?.size ?? null;

/**
 * Downloads a file of a model, streamed into `dir`; what an earlier try left there is gone on from. Bytes whose hash is not the record's are
 * thrown away and fetched once more. `onBytes` hears how many of them have arrived.
 * @returns the path of the whole file
 * @throws AppError `unavailable` when the hub is, `storage` when the disk is full, `invalid_base` when the bytes are not the record's
 */
export async function downloadFile(
  hub: Hub,
  record: HubRecord,
  file: HubFile,
  { dir, onBytes }: { dir: string; onBytes: (bytes: number) => void },
): Promise<string> {
  const place = join(dir, file.name);
  if ((await sizeOf(place)) === file.sizeBytes && (await hashOf(place, file)) === file.hash.hex) return place;
  const part = partOf(dir, file);
  for (const isLast of [false, true]) {
    await fetchRest(hub, record, file, part, onBytes);
    const hex = await hashOf(part, file);
    if (hex === file.hash.hex) break;
    await rm(part);
    if (isLast) throw otherBytes(hub, file, `have the ${file.hash.kind} hash ${hex}, not ${file.hash.hex}`);
    hub.onWait(`${file.name} arrived with another hash than its record has; it is fetched anew`, 0);
  }
  makeFolder(dirname(place), 0o700);
  await rename(part, place);
  return place;
}

async function fetchRest(
  hub: Hub,
  record: HubRecord,
  file: HubFile,
  path: string,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const part = await open(path, 'a');
  try {
    const state = { at: (await part.stat()).size, etag: null };
    await persist(
      hub,
      () => fetchOnce(hub, record, file, { part, state, onBytes }),
      () => state.at,
    );
    // It is renamed into place next, and must be whole there after a loss of power, too.
    await part.sync();
  } catch (error) {
    throw fullDisk(error, path, file) ?? error;
  } finally {
    await part.close();
  }
}

interface Part {
  part: FileHandle;
  /** How far the file has come, and how the server named the bytes that it sent last. */
  state: { at: number; etag: string | null };
  onBytes: (bytes: number) => void;
}

/** One request for what is missing of a file. */
async function fetchOnce(hub: Hub, record: HubRecord, file: HubFile, { part, state, onBytes }: Part): Promise<void> {
  const begin = async (): Promise<void> => {
    await part.truncate(0);
    state.at = 0;
  };
  if (state.at > file.sizeBytes) await begin();
  if (state.at === file.sizeBytes) return;
  const asked = { ...record, file: file.name };
  const { response, body } = await get(hub, resolvePath(record, file.name), asked, rangeFrom(state));
  if (state.at > 0 && !goesOnAt(response, state.at)) await begin();
  const etag = response.headers.get('etag');
  state.etag = etag?.startsWith('"') ? etag : null;
  for await (const piece of body) {
    if (state.at + piece.length > file.sizeBytes) {
      await begin();
      throw otherBytes(hub, file, `are more than the ${file.sizeBytes} of its record`);
    }
    await part.writeFile(piece);
    state.at += piece.length;
    onBytes(state.at);
  }
  if (state.at < file.sizeBytes)
    throw new Hiccup(`The connection for ${file.name} ended after ${state.at} of ${file.sizeBytes} bytes`);
}

/** The same bytes as before, or all of them: a file that changed under its name must not be put together from two. */
const rangeFrom = ({ at, etag }: Part['state']): Record<string, string> => ({
  ...(at > 0 && { range: `bytes=${at}-` }),
  ...(at > 0 && etag !== null && { 'if-range': etag }),
});

const goesOnAt = ({ status, headers }: Response, at: number): boolean =>
  status === 206 && headers.get('content-range')?.startsWith(`bytes ${at}-`) === true;

async function hashOf(path: string, { hash, sizeBytes }: HubFile): Promise<string> {
  const digest = createHash(hash.kind === 'git' ? 'sha1' : 'sha256');
  if (hash.kind === 'git') digest.update(`blob ${sizeBytes}\0`);
  for await (const piece of createReadStream(path)) digest.update(piece as Buffer);
  return digest.digest('hex');
}

const otherBytes = ({ endpoint }: Hub, { name }: HubFile, how: string): AppError =>
  new AppError('invalid_base', `The bytes of ${name} that ${endpoint} sends ${how}.`, {
    param: name,
    hint: 'A proxy or mirror changes them, or the upload was damaged: try another HF_ENDPOINT or another revision.',
  });

function fullDisk(error: unknown, path: string, { name, sizeBytes }: HubFile): AppError | null {
  const code = error instanceof Error && 'code' in error ? error.code : null;
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return null;
  return new AppError('storage', `The disk of ${path} is full: ${name} has ${describeBytes(sizeBytes)}.`, {
    hint: 'Free some space, or put the folder elsewhere; what has arrived is kept, and the same request goes on there.',
    cause: error,
  });
}
