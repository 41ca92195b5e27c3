import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setServersAddress, setTemporaryFolder } from './env.js';
import type { TestServers } from './servers.js';

let servers: Promise<TestServers> | null = null;

/**
 * Vitest's global setup. Opens one loopback address at which test files ask for databases; the servers behind it start with the first
 * question, so a run that asks for none starts none. What tests and the processes that they start leave among the temporary files goes with the run: it has a folder of its own there.
 */
export async function setup(): Promise<() => Promise<void>> {
  const temporary = await temporaryFolder();
  const secret = randomBytes(16).toString('hex');
  const broker = createServer((request, response) => {
    const kind =
      request.url === `/${secret}/empty` ? 'empty' : request.url === `/${secret}/migrated` ? 'migrated' : null;
    if (!kind) {
      response.writeHead(404).end();
      return;
    }
    servers ??= import('./servers.js').then((module) => module.startTestServers());
    servers
      .then((started) => started.createDatabase(kind))
      .then(
        (database) => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(database)),
        (error: unknown) =>
          response.writeHead(500).end(error instanceof Error ? (error.stack ?? error.message) : String(error)),
      );
  });
  await new Promise<void>((resolve) => broker.listen(0, '127.0.0.1', resolve));
  broker.unref();
  const address = broker.address();
  if (typeof address === 'object' && address) setServersAddress(`http://127.0.0.1:${address.port}/${secret}`);
  return async () => {
    broker.close();
    broker.closeAllConnections();
    const started = await servers?.catch(() => null);
    await started?.stop();
    await rm(temporary, { recursive: true, force: true, maxRetries: 3 });
  };
}

/** A folder for the temporary files of this run. Postgres, and programs in the sandbox, run as another user and must pass through it. */
async function temporaryFolder(): Promise<string> {
  // A short name: sockets lie below it, whose paths have 107 characters at most.
  const dir = await mkdtemp(path.join(tmpdir(), 'mt-'));
  await chmod(dir, 0o755);
  setTemporaryFolder(dir);
  return dir;
}
