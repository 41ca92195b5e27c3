import type { AddressInfo } from 'node:net';
import {
  openServices,
  type ReconcilerOptions,
  startDownloader,
  startReconciler,
  startWebhookSender,
} from '@moraine/services';
import type { Logger } from 'pino';
import { buildApp } from './app.js';
import type { ApiEnv } from './env.js';

export interface ApiServer {
  /** Where it listens, e.g. `http://127.0.0.1:7311`. */
  url: string;
  /** Finishes what is in flight (plugins/drain.ts), then closes everything. */
  close(): Promise<void>;
}

/** Other times than those of production, for a harness. */
export type ServerOptions = Pick<ReconcilerOptions, 'leaseMs'>;

/** Opens the services, listens, and runs the reconciler (one replica at a time does, by an advisory lock). */
export async function startServer(env: ApiEnv, log: Logger, options: ServerOptions = {}): Promise<ApiServer> {
  const services = await openServices({
    databaseUrl: env.databaseUrl,
    redisUrl: env.redisUrl,
    blobsDir: env.blobsDir,
    log,
  });
  try {
    const app = await buildApp(services, env);
    await app.listen({ host: env.host, port: env.port });
    const reconciler = startReconciler(services, { retention: env.retention, ...options });
    const downloader = startDownloader(services, { hub: env.hub, sizeBytesMax: env.baseLimitBytes });
    const sender = startWebhookSender(services, { allowsPrivate: env.webhookPrivate });
    const { address, family, port } = app.server.address() as AddressInfo;
    const url = `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
    return {
      url,
      async close() {
        await Promise.all([app.drain(env.drain), reconciler.close(), downloader.close(), sender.close()]);
        await app.close();
        await services.close();
      },
    };
  } catch (error) {
    await services.close();
    throw error;
  }
}
