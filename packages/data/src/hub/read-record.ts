import { AppError } from '@moraine/contract';
import { isNamedTemplate } from '../template-files.js';
import { Hiccup, type Hub, persist } from './hub.js';
import { get, head } from './request.js';
import type { HubSource } from './source.js';

/** What the hub says of a file. */
export interface HubFile {
  name: string;
  sizeBytes: number;
  hash: FileHash;
}

/** `sha256` of the bytes, or `git`: sha1 of `blob <size>\0` and the bytes. */
interface FileHash {
  kind: 'sha256' | 'git';
  hex: string;
}

/** A file of which the hub's record does not say all; its answer to a HEAD may. */
interface NamedFile {
  name: string;
  sizeBytes: number | null;
  hash: FileHash | null;
}

export interface HubRecord extends HubSource {
  /** What the revision was when it was asked for; files are fetched by it. */
  commit: string;
  /** By name; files in folders are left out, but for chat templates. */
  files: Map<string, HubFile | NamedFile>;
}

/** Where the bytes of a file of a model are. */
export const resolvePath = ({ repo, commit }: HubRecord, name: string): string =>
  `/${repo}/resolve/${commit}/${name.split('/').map(encodeURIComponent).join('/')}`;

/** Asks what a revision is: its commit and its files, with what the record says of them. @throws AppError saying what is missing. */
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
      : [[name, toFile(name, sibling)] as const];
  });
  return { ...source, commit, files: new Map(files) };
}

/**
 * Size and hash of files of a model. What the record leaves out is asked of each file's own address, as mirrors without them need it.
 * @throws AppError `unavailable` where neither says it
 */
export async function describeFiles(hub: Hub, record: HubRecord, names: readonly string[]): Promise<HubFile[]> {
  const files: HubFile[] = [];
  for (const name of names) files.push(await describeFile(hub, record, name));
  return files;
}

async function describeFile(hub: Hub, record: HubRecord, name: string): Promise<HubFile> {
  const known = record.files.get(name) ?? { name, sizeBytes: null, hash: null };
  if (isWhole(known)) return known;
  const asked = { ...record, file: name };
  const answers = await persist(hub, () => head(hub, resolvePath(record, name), asked, saysAll));
  const said = saidBy(answers);
  const file = { name, sizeBytes: known.sizeBytes ?? said.sizeBytes, hash: known.hash ?? said.hash };
  if (!isWhole(file)) throw noHub(hub, `neither size nor hash of ${name}`);
  record.files.set(name, file);
  return file;
}

const isWhole = (file: HubFile | NamedFile): file is HubFile => file.sizeBytes !== null && file.hash !== null;

function toFile(name: string, { size, blobId, lfs }: Record<string, unknown>): NamedFile {
  const { sha256, size: lfsSize } = fieldsOf(lfs);
  // The git hash of a large file is its pointer's.
  const hash = lfs === undefined || lfs === null ? toHash(blobId, 'git') : toHash(sha256, 'sha256');
  return { name, sizeBytes: toSize(size ?? lfsSize), hash };
}

const toSize = (size: unknown): number | null =>
  typeof size === 'number' && Number.isSafeInteger(size) && size >= 0 ? size : null;

const HASHES = { sha256: /^[0-9a-f]{64}$/, git: /^[0-9a-f]{40}$/ };

const toHash = (hex: unknown, kind: FileHash['kind']): FileHash | null =>
  typeof hex === 'string' && HASHES[kind].test(hex) ? { kind, hex } : null;

/** What the first answer that redirects says of the file, else the last of its own bytes. */
function saidBy(answers: readonly Response[]): Pick<NamedFile, 'sizeBytes' | 'hash'> {
  const linked = answers.map(({ headers }) => ({
    sizeBytes: sizeIn(headers.get('x-linked-size')),
    hash: hashIn(headers.get('x-linked-etag')),
  }));
  const last = answers.findLast(({ ok }) => ok);
  // The length of a packed answer is not the file's.
  const length = last?.headers.has('content-encoding') ? null : (last?.headers.get('content-length') ?? null);
  return {
    sizeBytes: linked.find(({ sizeBytes }) => sizeBytes !== null)?.sizeBytes ?? sizeIn(length),
    hash: linked.find(({ hash }) => hash !== null)?.hash ?? hashIn(last?.headers.get('etag') ?? null),
  };
}

const saysAll = ({ headers }: Response): boolean =>
  sizeIn(headers.get('x-linked-size')) !== null && hashIn(headers.get('x-linked-etag')) !== null;

const sizeIn = (header: string | null): number | null =>
  header === null || !/^\d+$/.test(header) ? null : toSize(Number(header));

/** A hash by its length. */
function hashIn(etag: string | null): FileHash | null {
  const hex = etag?.replace(/^W\//, '').replaceAll('"', '');
  return toHash(hex, 'sha256') ?? toHash(hex, 'git');
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
