import type { AttemptToken, Services } from '../ground/context.js';
import { SIGN_OF_LIFE_MS } from '../ground/patience.js';
import { type Wish, wishOf } from './ask-to-stop.js';
import { LEASE_MS } from './claim.js';
import { fenced, TOKEN } from './fence.js';

export interface Renewal {
  leaseMs?: number;
  /** Milliseconds since the attempt got on last; null where that is not known. */
  idleMs?: number | null;
}

/**
 * Says that the attempt lives, by the database's clock; a task that had been given up for lost is taken back. The answer carries what a
 * lost control message would have said. Not waited for longer than a renewal may take: one that hangs is sent again over another connection. @throws AppError `stale_attempt` when the task has gone on without us.
 */
export async function renewLease(
  s: Services,
  token: AttemptToken,
  { leaseMs = LEASE_MS, idleMs = null }: Renewal = {},
): Promise<{ wish: Wish | null }> {
  const row = await fenced<{ state: string | null }>(
    s,
    token,
    `WITH ${TOKEN}, lease AS (
       UPDATE attempts a SET lease_expires_at = now() + $4 * interval '1 millisecond',
         progress_at = greatest(a.progress_at, now() - $5::float8 * interval '1 millisecond') FROM token
       WHERE a.task_id = token.id AND a.attempt = $2
     ), found AS (
       UPDATE tasks t SET state = NULL, state_reason = NULL FROM token WHERE t.id = token.id AND t.state = 'lost_contact'
     )
     SELECT state FROM token`,
    [leaseMs, idleMs],
    { withinMs: SIGN_OF_LIFE_MS },
  );
  return { wish: wishOf(row.state) };
}
