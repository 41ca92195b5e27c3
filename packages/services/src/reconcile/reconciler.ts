import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { makeAnalyses } from '../analysis/make-analyses.js';
import { makeEvaluations } from '../evaluation/make-evaluations.js';
import { advanceExperiments } from '../experiments/advance.js';
import { collectStaleUploads } from '../ground/collect-stale-uploads.js';
import type { Services } from '../ground/context.js';
import { PATIENCE, SIGN_OF_LIFE_MS } from '../ground/patience.js';
import { proveWrite } from '../ground/prove-write.js';
import { collectUploads } from '../library/collect-uploads.js';
import { resumeFileValidation } from '../library/validate-stored-file.js';
import { collectCheckpoints } from '../training/drop-checkpoints.js';
import { LEASE_MS } from '../work/claim.js';
import { pullBack, type Reading, readClock, stepBetween } from './clock.js';
import { expireLeases, markLostContact, markLostWorkers } from './leases.js';
import { collectExpiredFiles, collectOrphans, forgetExpired } from './orphans.js';
import { offerForgotten } from './outbox.js';
import { purgeDeleted } from './purge.js';
import { applyRetention, KEEP_ALL, type Retention } from './retention.js';

/** Our advisory lock: the process that holds it is the reconciler. */
const LOCK = 72_707_370;

export interface ReconcilerOptions {
  intervalMs?: number;
  /**
   * The database must have taken writes for so long, and its clock have gone on evenly, before a lease counts as expired: workers could
   * not renew while it was away, and what a clock that was put on says of them is not true.
   */
  leaseMs?: number;
  workerSilentMs?: number;
  collectEveryMs?: number;
  /** For how long the history of runs that have ended is kept; default for ever. */
  retention?: Retention;
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
  {
    intervalMs = 2_000,
    leaseMs = LEASE_MS,
    workerSilentMs,
    collectEveryMs = 600_000,
    retention = KEEP_ALL,
  }: ReconcilerOptions = {},
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
    let evenSince = performance.now();
    let collectedAt: number | null = null;
    let before: Reading | null = null;
    while (!stop.signal.aborted) {
      // On the connection that holds the lock: one that is broken, silent or only reads ends our lead before anything is decided.
      await proveWrite(client, SIGN_OF_LIFE_MS);
      const clock = await readClock(client);
      const stepMs = before ? stepBetween(before, clock) : 0;
      if (stepMs !== 0) {
        s.log.warn({ stepMs }, "the database's clock was set; leases are believed again when each could be renewed");
        evenSince = performance.now();
      }
      if (before === null || stepMs < 0) await guarded('times to come', () => pullBack(s, Math.max(leaseMs, LEASE_MS)));
      before = clock;
      if (performance.now() - evenSince >= leaseMs) {
        const asOf = new Date(clock.databaseMs);
        await expireLeases(s, asOf);
        await markLostContact(s, asOf);
        await markLostWorkers(s, workerSilentMs);
      }
      await guarded('evaluations of runs', () => makeEvaluations(s));
      await guarded('analyses of runs', () => makeAnalyses(s));
      await guarded('wake-ups', () => offerForgotten(s, sweep));
      await guarded('experiments', () => advanceExperiments(s));
      await guarded('deleted runs', () => purgeDeleted(s));
      if (collectedAt === null || performance.now() - collectedAt >= collectEveryMs) {
        collectedAt = performance.now();
        validateFiles();
        await guarded('expired files', () => collectExpiredFiles(s));
        await guarded('expired rows', () => forgetExpired(s));
        await guarded('old checkpoints', () => collectCheckpoints(s));
        await guarded('orphaned blobs', () => collectOrphans(s));
        await guarded('old history', () => applyRetention(s, retention));
        await guarded('stale uploads', () => collectStaleUploads(s));
        await guarded('uploads in parts', () => collectUploads(s));
      }
      const from = performance.now();
      await sleep(intervalMs, undefined, { signal: stop.signal });
      // This process did not run, and the workers perhaps did not either.
      if (performance.now() - from > intervalMs + leaseMs / 2) evenSince = performance.now();
    }
  };

  const round = async (): Promise<void> => {
    const { connectionString } = s.pg.options;
    const client = new pg.Client({
      connectionString,
      connectionTimeoutMillis: 5_000,
      keepAlive: true,
      application_name: 'moraine reconciler',
      query_timeout: PATIENCE.request.queryMs,
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
