#!/usr/bin/env node
import { explain } from '@moraine/contract';
import { readEnv } from './env.js';
import { createLog } from './log.js';
import { startServer } from './server.js';

const CLOSE_MS = 1_800;

try {
  const env = readEnv();
  const log = createLog(env);
  const server = await startServer(env, log);
  log.info({ url: server.url }, `the API listens on ${server.url}`);

  let closing = false;
  const close = (signal: string): void => {
    if (closing) return;
    closing = true;
    log.info({ signal }, 'the API closes');
    setTimeout(() => process.exit(1), CLOSE_MS).unref();
    server.close().then(
      () => process.exit(0),
      (error: unknown) => {
        log.error({ err: error }, 'the API did not close cleanly');
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', close);
  process.on('SIGINT', close);
} catch (error) {
  process.stderr.write(`moraine api: ${explain(error)}\n`);
  process.exitCode = 1;
}
