import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { deserialize, serialize } from 'node:v8';
import { makeFolder } from '@moraine/contract/make-folder';
import { type Claim, notify, renewLease, type Services } from '@moraine/services';
import type { Logger } from 'pino';
import { attemptSink } from './attempt-sink.js';
import { workOf } from './kinds.js';
import type { LivePublisher } from './live-publisher.js';
import { type Item, openOutbox } from './outbox.js';
import { isStale, untilDone } from './retry.js';
import { memorySpool, openSpool, type Spool } from './spool.js';

const SUFFIX = '.backlog';
const CLAIM = 'claim';

const folderOf = (workDir: string, attemptName: string): string => join(workDir, `${attemptName}${SUFFIX}`);

/**
 * What an attempt says until it is stored, in a folder beside its own, with the claim under which it may be stored: a worker that starts
 * here after this one was killed stores it (`storeBacklogs`).
 */
export function keepBacklog(
  workDir: string,
  attemptName: string,
  claim: Claim,
  limitBytes: number,
  log: Logger,
): Spool<Item> {
  const dir = folderOf(workDir, attemptName);
  try {
    makeFolder(dir, 0o700);
    writeFileSync(join(dir, CLAIM), serialize(claim), { mode: 0o600 });
    return openSpool(dir, { limitBytes });
  } catch (error) {
    log.warn({ err: error }, 'what the run says is kept in memory: the disk of this worker takes no file');
    return memorySpool();
  }
}

export const removeBacklog = (workDir: string, attemptName: string): Promise<void> =>
  rm(folderOf(workDir, attemptName), { recursive: true, force: true }).catch(() => undefined);

export interface BacklogOptions {
  leaseMs: number;
  renewEveryMs: number;
  /** Gives up for now: what waits stays where it is. */
  signal: AbortSignal;
}

/** Followers are not sent what they may have had already: they read anew. */
const nobody: LivePublisher = { send: () => undefined, flush: async () => undefined, close: () => undefined };

/**
 * Stores what attempts of a killed worker left in its folder: under their own tokens and in their order, so that nothing is lost while the
 * run is still theirs, and nothing is written once it is another's. An attempt whose last word is among it ends by it; any other runs out of its lease.
 */
export async function storeBacklogs(s: Services, workDir: string, options: BacklogOptions, log: Logger): Promise<void> {
  if (!existsSync(workDir)) return;
  for (const name of readdirSync(workDir).filter((entry) => entry.endsWith(SUFFIX))) {
    if (options.signal.aborted) return;
    await storeBacklog(s, join(workDir, name), options, log.child({ backlog: name })).catch((error: unknown) =>
      log.error({ err: error, backlog: name }, 'what an earlier worker left cannot be stored'),
    );
  }
}

async function storeBacklog(
  s: Services,
  dir: string,
  { leaseMs, renewEveryMs, signal }: BacklogOptions,
  log: Logger,
): Promise<void> {
  const claim = readClaim(dir);
  if (!claim) return;
  const { token } = claim;
  const spool = openSpool<Item>(dir);
  if (spool.size() === 0) return spool.close();
  log.info({ items: spool.size() }, 'storing what an earlier worker left');
  const onWait = (error: unknown): void => log.debug({ err: error }, 'a server is away');
  const renew = (): Promise<unknown> => untilDone(() => renewLease(s, token, { leaseMs }), { signal, onWait });
  const work = workOf(s, claim);
  const sink = attemptSink({ s, token, live: nobody, work, kindSink: work.sink(nobody, () => undefined) });
  let timer: NodeJS.Timeout | undefined;
  try {
    await renew();
    timer = setInterval(() => void renew().catch(() => undefined), renewEveryMs);
    const outbox = openOutbox(sink, { spool, onWait, onError: () => undefined });
    signal.addEventListener('abort', () => outbox.leave(), { once: true });
    await outbox.drained();
    if (signal.aborted) return;
    await notify(s, token.taskId, [{ event: 'reset', data: { step: 0, attempt: token.attempt } }], token.attempt);
    log.info('it is stored');
  } catch (error) {
    if (!isStale(error)) throw error;
    log.info('the run has ended or another worker has it: nothing of it is written');
  } finally {
    clearInterval(timer);
    spool.close();
  }
}

function readClaim(dir: string): Claim | null {
  try {
    return deserialize(readFileSync(join(dir, CLAIM))) as Claim;
  } catch {
    return null;
  }
}
