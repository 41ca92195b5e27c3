#!/usr/bin/env node
import { explain } from '@moraine/contract';
import { readEnv } from './env.js';
import { createLog } from './log.js';
import { startServer } from './server.js';

/** Beyond the drain's own time: closing what it left must not take longer. */
const CLOSE_MS = 5_000;

try {
  const env = readEnv();
  const log = createLog(env);
  const server = await startServer(env, log);
  log.info({ url: server.url }, `the API listens on ${server.url}`);

  let closing = false;
  const close = (signal: string): void => {
    if (closing) process.exit(1);
    closing = true;
    log.info({ signal }, 'the API finishes what is in flight and closes');
    setTimeout(() => process.exit(1), env.drain.delayMs + env.drain.timeoutMs + CLOSE_MS).unref();
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
