import { readFileSync } from 'node:fs';
import { explain } from '@moraine/contract';
import { openServices } from '@moraine/services';
import { readEnv } from './env.js';
import { openLog } from './log.js';
import { startProcess } from './start-process.js';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

async function main(): Promise<void> {
  const env = readEnv();
  const log = openLog(env);
  const { databaseUrl, redisUrl, blobsDir } = env;
  const s = await openServices({ databaseUrl, redisUrl, blobsDir, log, patience: 'work' });
  const running = await startProcess(s, { ...env, version }, log);
  let asked = false;
  const end = (reason: string): void => {
    log.info({ reason }, asked ? 'ending at once' : 'ending after what it answers');
    if (asked) process.exit(1);
    asked = true;
    void running.drain();
  };
  process.on('SIGTERM', end);
  process.on('SIGINT', end);
  // The terminal's command that runs it was killed.
  process.on('disconnect', () => end('disconnect'));
  if (process.connected === false) end('disconnect');
  await running.ended;
  await s.close();
  process.exit(0);
}

main().catch((error: unknown) => {
  process.stderr.write(`${explain(error)}\n`);
  process.exit(1);
});
