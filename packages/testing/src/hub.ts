import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A model on the hub of a test. */
export interface HubRepo {
  commit: string;
  /** Branches and tags that are this commit. */
  names: string[];
  files: Record<string, Buffer | string>;
  /** Whether the record has sizes and hashes, as the public hub's; a mirror's may not. Default: it has. */
  isDescribed?: boolean;
  /** Only with this token; without it the hub says `code`, and `GatedRepo` still shows the record. */
  needs?: { token: string; code: 'GatedRepo' | 'RepoNotFound' };
}

/** What goes wrong with one answer. */
export type Fault =
  | { status: number; headers?: Record<string, string>; body?: string | Buffer }
  /** The connection breaks after so many bytes of the body. */
  | { cutAfter: number }
  /** Nothing comes after so many bytes of the body, for ever. */
  | { stallAfter: number }
  /** Other bytes than the file has, under its own name and size. */
  | { bytes: Buffer }
  /** The whole file, whatever was asked for. */
  | { ignoreRange: true };

export interface HubRequest {
  server: 'hub' | 'cdn';
  method: string;
  path: string;
  authorization: string | null;
  range: string | null;
  ifRange: string | null;
}

export interface TestHub {
  endpoint: string;
  /** Address of the second server. */
  cdn: string;
  repos: Record<string, HubRepo>;
  /** Every request so far. */
  requests: HubRequest[];
  /** The next answers to requests whose path matches go wrong, in this order. */
  fail(path: RegExp, ...faults: Fault[]): void;
  close(): Promise<void>;
}

/**
 * A hub on loopback with Hugging Face's file endpoints: the record of a revision, small files themselves, large ones (`.safetensors`) by a
 * redirect to a second server, as to a CDN; both go on in the middle (Range, If-Range).
 */
export async function startHub(repos: Record<string, HubRepo>): Promise<TestHub> {
  const faults: { path: RegExp; fault: Fault }[] = [];
  const requests: HubRequest[] = [];
  const listen = async (server: HubRequest['server'], answer: Answer): Promise<[Server, string]> => {
    const http = createServer((req, res) => {
      const path = req.url ?? '';
      const { authorization = null, range = null, 'if-range': ifRange = null } = req.headers;
      requests.push({
        server,
        method: req.method ?? '',
        path,
        authorization,
        range,
        ifRange: ifRange?.toString() ?? null,
      });
      const at = faults.findIndex((one) => one.path.test(path));
      const [found] = at < 0 ? [] : faults.splice(at, 1);
      if (found && 'status' in found.fault)
        res.writeHead(found.fault.status, found.fault.headers).end(found.fault.body);
      else answer(req, res, found?.fault ?? null);
    });
    // A connection that the server closes while a request is on its way would be a fault of nobody.
    http.keepAliveTimeout = 0;
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    return [http, `http://127.0.0.1:${(http.address() as AddressInfo).port}`];
  };
  const blobs = new Map<string, Buffer>();
  const [cdn, cdnAddress] = await listen('cdn', (req, res, fault) => {
    const bytes = blobs.get((req.url ?? '').slice(1));
    if (req.headers.authorization !== undefined || !bytes) res.writeHead(400).end('no token belongs here');
    else sendBytes(req, res, { bytes, hash: sha256(bytes) }, fault);
  });
  const [hub, endpoint] = await listen('hub', (req, res, fault) =>
    answerHub(repos, blobs, cdnAddress, req, res, fault),
  );
  return {
    endpoint,
    cdn: cdnAddress,
    repos,
    requests,
    fail: (path, ...list) => void faults.push(...list.map((fault) => ({ path, fault }))),
    async close() {
      for (const server of [hub, cdn]) {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      }
    },
  };
}

type Answer = (req: IncomingMessage, res: ServerResponse, fault: Fault | null) => void;

function answerHub(
  repos: Record<string, HubRepo>,
  blobs: Map<string, Buffer>,
  cdn: string,
  req: IncomingMessage,
  res: ServerResponse,
  fault: Fault | null,
): void {
  const url = decodeURIComponent((req.url ?? '').split('?')[0] ?? '');
  const refuse = (status: number, code: string, message: string): void =>
    void res
      .writeHead(status, { 'x-error-code': code, 'x-error-message': message })
      .end(JSON.stringify({ error: message }));
  const [, record, revision] = /^\/api\/models\/(.+?)\/revision\/(.+)$/.exec(url) ?? [];
  const [, resolved, commit, file = ''] = /^\/(.+?)\/resolve\/([^/]+)\/(.+)$/.exec(url) ?? [];
  const [name = '', wanted = ''] = record === undefined ? [resolved, commit] : [record, revision];
  const repo = repos[name];
  const isDenied = repo?.needs !== undefined && req.headers.authorization !== `Bearer ${repo.needs.token}`;
  const content = repo?.files[file];
  if (!repo || (isDenied && repo.needs?.code === 'RepoNotFound')) refuse(401, 'RepoNotFound', 'Repository not found');
  else if (![repo.commit, ...repo.names].includes(wanted)) refuse(404, 'RevisionNotFound', `Invalid rev id: ${wanted}`);
  else if (record !== undefined) res.end(JSON.stringify(recordOf(repo)));
  else if (isDenied) refuse(403, 'GatedRepo', `Access to model ${name} is restricted.`);
  else if (content === undefined) refuse(404, 'EntryNotFound', 'Entry not found');
  else if (!isLarge(file)) {
    const bytes = Buffer.from(content);
    sendBytes(req, res, { bytes, hash: gitHash(bytes) }, fault);
  } else {
    const bytes = Buffer.from(content);
    blobs.set(sha256(bytes), bytes);
    const linked = { 'x-linked-size': bytes.length, 'x-linked-etag': `"${sha256(bytes)}"` };
    res.writeHead(302, { location: `${cdn}/${sha256(bytes)}`, ...linked }).end();
  }
}

const isLarge = (file: string): boolean => file.endsWith('.safetensors');

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

const gitHash = (bytes: Buffer): string =>
  createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');

/** As `GET /api/models/{repo}/revision/{rev}?blobs=true` has it. */
const recordOf = ({ commit, files, isDescribed = true }: HubRepo): unknown => ({
  sha: commit,
  siblings: Object.entries(files).map(([rfilename, content]) => {
    if (!isDescribed) return { rfilename };
    const bytes = Buffer.from(content);
    const blobId = gitHash(bytes);
    const lfs = { sha256: sha256(bytes), size: bytes.length, pointerSize: 134 };
    return { rfilename, size: bytes.length, blobId, ...(isLarge(rfilename) && { lfs }) };
  }),
});

function sendBytes(
  req: IncomingMessage,
  res: ServerResponse,
  { bytes: whole, hash }: { bytes: Buffer; hash: string },
  fault: Fault | null,
): void {
  const etag = `"${hash}"`;
  const bytes = fault && 'bytes' in fault ? fault.bytes : whole;
  const condition = req.headers['if-range'];
  const isWhole = fault !== null && 'ignoreRange' in fault;
  const [, from] =
    (!isWhole && (condition === undefined || condition === etag) && /^bytes=(\d+)-$/.exec(req.headers.range ?? '')) ||
    [];
  const start = Number(from ?? 0);
  res.writeHead(from === undefined ? 200 : 206, {
    etag,
    'content-length': bytes.length - start,
    ...(from !== undefined && { 'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` }),
  });
  const rest = bytes.subarray(start);
  if (fault && 'cutAfter' in fault)
    res.write(rest.subarray(0, fault.cutAfter), () => setImmediate(() => res.destroy()));
  else if (fault && 'stallAfter' in fault) res.write(rest.subarray(0, fault.stallAfter));
  else res.end(rest);
}
