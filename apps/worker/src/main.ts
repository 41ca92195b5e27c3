import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { explain } from '@moraine/contract';
import { openServices, startBeat } from '@moraine/services';
import { backlogLimitBytes, readEnv } from './env.js';
import { openLog } from './log.js';
import { startWorker } from './supervisor.js';

const script = fileURLToPath(new URL('./attempt.js', import.meta.url));
const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

async function main(): Promise<void> {
  const env = readEnv();
  const log = openLog(env);
  startBeat(join(env.workDir, 'alive'));
  const { databaseUrl, redisUrl, blobsDir } = env;
  const s = await openServices({ databaseUrl, redisUrl, blobsDir, log, patience: 'work' });
  const limits = {
    memoryLimitBytes: env.memoryLimitBytes ?? undefined,
    diskReserveBytes: env.diskReserveBytes ?? undefined,
    backlogLimitBytes: backlogLimitBytes(),
  };
  const worker = startWorker(s, { ...env, ...limits, script, version }, log);
  let asked = false;
  const end = (reason: string): void => {
    log.info({ reason }, asked ? 'ending at once' : 'ending after the step');
    if (asked) process.exit(1);
    asked = true;
    worker
      .drain()
      .then(() => s.close())
      .then(() => process.exit(0))
      .catch(() => process.exit(1));
  };
  process.on('SIGTERM', end);
  process.on('SIGINT', end);
  // The terminal's command that runs it was killed.
  process.on('disconnect', () => end('disconnect'));
  if (process.connected === false) end('disconnect');
  // A worker that cannot go on must not linger as a process that only looks alive: what started it starts another.
  const { drained } = await worker.ended;
  if (asked) return;
  if (drained) await s.close();
  process.exit(drained ? 0 : 1);
}

main().catch((error: unknown) => {
  process.stderr.write(`${explain(error)}\n`);
  process.exit(1);
});
