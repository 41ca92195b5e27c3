import { AppError } from '@moraine/contract';
import { isNamedTemplate } from '../template-files.js';
import { Hiccup, type Hub, persist } from './hub.js';
import { get } from './request.js';
import type { HubSource } from './source.js';

/** What the hub's record says of a file. */
export interface HubFile {
  name: string;
  sizeBytes: number;
  /** `sha256` of the bytes, or `git`: sha1 of `blob <size>\0` and the bytes. */
  hash: { kind: 'sha256' | 'git'; hex: string };
}

export interface HubRecord extends HubSource {
  /** What the revision was when it was asked for; files are fetched by it. */
  commit: string;
  /** By name; files in folders are left out, but for chat templates. */
  files: Map<string, HubFile>;
}

/** Asks what a revision is: its commit and its files with sizes and hashes. @throws AppError saying what is missing. */
export async function readRecord(hub: Hub, source: HubSource): Promise<HubRecord> {
  const { repo, revision } = source;
  const record = await persist(hub, async () => {
    const path = `/api/models/${repo}/revision/${encodeURIComponent(revision)}?blobs=true`;
    return parseJson(hub, await collect((await get(hub, path, source)).body));
  });
  const commit = fieldsOf(record).sha;
  if (typeof commit !== 'string' || !/^[0-9a-f]{40,64}$/.test(commit)) throw noHub(hub, `no commit for ${repo}`);
  const { siblings } = fieldsOf(record);
  if (!Array.isArray(siblings)) throw noHub(hub, `no list of files for ${repo}`);
  const files = siblings.map(fieldsOf).flatMap((sibling) => {
    const name = sibling.rfilename;
    return typeof name !== 'string' || (/[/\\]/.test(name) && !isNamedTemplate(name))
      ? []
      : [[name, toFile(hub, name, sibling)] as const];
  });
  return { ...source, commit, files: new Map(files) };
}

function toFile(hub: Hub, name: string, { size, blobId, lfs }: Record<string, unknown>): HubFile {
  const { sha256, size: lfsSize } = fieldsOf(lfs);
  const hex = sha256 ?? blobId;
  const sizeBytes = size ?? lfsSize;
  const kind = sha256 === undefined ? 'git' : 'sha256';
  const isHash = typeof hex === 'string' && (kind === 'git' ? /^[0-9a-f]{40}$/ : /^[0-9a-f]{64}$/).test(hex);
  if (!isHash || typeof sizeBytes !== 'number' || !Number.isSafeInteger(sizeBytes) || sizeBytes < 0)
    throw noHub(hub, `neither size nor hash of ${name}`);
  return { name, sizeBytes, hash: { kind, hex } };
}

const fieldsOf = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};

const noHub = ({ endpoint }: Hub, what: string): AppError =>
  new AppError('unavailable', `${endpoint} gives ${what}.`, {
    param: 'HF_ENDPOINT',
    hint: 'Without them nothing that is downloaded could be checked. Is HF_ENDPOINT the address of a hub?',
  });

function parseJson(hub: Hub, text: Buffer): unknown {
  try {
    return JSON.parse(text.toString('utf8'));
  } catch (cause) {
    throw new Hiccup(`${hub.endpoint} answers with something that is not JSON`, null, cause);
  }
}

async function collect(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(piece);
  return Buffer.concat(all);
}
