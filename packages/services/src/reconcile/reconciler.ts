import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { collectStaleUploads } from '../ground/collect-stale-uploads.js';
import type { Services } from '../ground/context.js';
import { collectUploads } from '../library/collect-uploads.js';
import { resumeFileValidation } from '../library/validate-stored-file.js';
import { LEASE_MS } from '../work/claim.js';
import { expireLeases, markLostContact, markLostWorkers } from './leases.js';
import { collectExpiredFiles, collectOrphans, forgetExpired } from './orphans.js';
import { offerForgotten } from './outbox.js';

/** Our advisory lock: the process that holds it is the reconciler. */
const LOCK = 72_707_370;

export interface ReconcilerOptions {
  intervalMs?: number;
  /** The database must have answered for so long before a lease counts as expired: workers could not renew while it was away. */
  leaseMs?: number;
  workerSilentMs?: number;
  collectEveryMs?: number;
}

export interface Reconciler {
  isLeader(): boolean;
  close(): Promise<void>;
}

/**
 * Finishes what crashes left half done, every two seconds, in one process at a time (an advisory lock on a connection of its own; it
 * is free again when that process or its connection dies).
 */
export function startReconciler(
  s: Services,
  { intervalMs = 2_000, leaseMs = LEASE_MS, workerSilentMs, collectEveryMs = 600_000 }: ReconcilerOptions = {},
): Reconciler {
  const stop = new AbortController();
  let leader = false;
  const sweep = { after: '' };

  const guarded = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      s.log.warn({ err: error }, `${what} could not be reconciled now; it is tried again`);
    }
  };

  /** In the background: a large file takes longer than a lease. */
  let validating = false;
  const validateFiles = (): void => {
    if (validating) return;
    validating = true;
    s.inBackground(
      'Validation of what a process left',
      resumeFileValidation(s).finally(() => {
        validating = false;
      }),
    );
  };

  /** Rounds on one connection, until it breaks or we stop. */
  const lead = async (client: pg.Client): Promise<void> => {
    const healthySince = Date.now();
    let collectedAt = 0;
    while (!stop.signal.aborted) {
      // On the connection that holds the lock: a broken one ends our lead before anything is decided.
      await client.query('SELECT 1');
      if (Date.now() - healthySince >= leaseMs) {
        await expireLeases(s);
        await markLostContact(s);
        await markLostWorkers(s, workerSilentMs);
      }
      await guarded('wake-ups', () => offerForgotten(s, sweep));
      if (Date.now() - collectedAt >= collectEveryMs) {
        collectedAt = Date.now();
        validateFiles();
        await guarded('expired files', () => collectExpiredFiles(s));
        await guarded('expired rows', () => forgetExpired(s));
        await guarded('orphaned blobs', () => collectOrphans(s));
        await guarded('stale uploads', () => collectStaleUploads(s));
        await guarded('uploads in parts', () => collectUploads(s));
      }
      await sleep(intervalMs, undefined, { signal: stop.signal });
    }
  };

  const round = async (): Promise<void> => {
    const { connectionString } = s.pg.options;
    const client = new pg.Client({
      connectionString,
      connectionTimeoutMillis: 5_000,
      keepAlive: true,
      application_name: 'moraine reconciler',
    });
    client.on('error', () => undefined);
    try {
      await client.connect();
      const { rows } = await client.query<{ got: boolean }>('SELECT pg_try_advisory_lock($1) AS got', [LOCK]);
      leader = rows[0]?.got ?? false;
      if (leader) await lead(client);
    } finally {
      leader = false;
      await client.end().catch(() => undefined);
    }
  };

  const running = (async () => {
    while (!stop.signal.aborted) {
      try {
        await round();
      } catch (error) {
        if (!stop.signal.aborted) s.log.warn({ err: error }, 'the reconciler lost the database');
      }
      await sleep(intervalMs, undefined, { signal: stop.signal }).catch(() => undefined);
    }
  })();

  return {
    isLeader: () => leader,
    async close() {
      stop.abort();
      await running;
    },
  };
}
