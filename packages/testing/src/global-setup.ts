import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { setServersAddress } from './env.js';
import type { TestServers } from './servers.js';

let servers: Promise<TestServers> | null = null;

/**
 * Vitest's global setup. Opens one loopback address at which test files ask for databases; the servers behind it start with the first
 * question, so a run that asks for none starts none.
 */
export async function setup(): Promise<() => Promise<void>> {
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
  };
}
