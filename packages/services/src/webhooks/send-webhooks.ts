import { setTimeout as sleep } from 'node:timers/promises';
import type { WebhookDelivery } from '@moraine/contract';
import type { Services } from '../ground/context.js';
import { type Posted, type PostOptions, postWebhook } from './post-webhook.js';
import { webhookHeaders } from './sign-webhook.js';

export interface SenderOptions extends Partial<PostOptions> {
  /** How often the outbox is looked at. */
  intervalMs?: number;
  /** Pause after the n-th attempt, from 1. */
  pauseMs?: (attempts: number) => number;
}

/** Attempts after which a delivery is given up: two to three days with the pauses below. */
export const ATTEMPTS_MAX = 12;
const PAUSE_MAX_MS = 12 * 3_600_000;
const LOG_MAX = 30;
/** A sender that died in the middle of a delivery holds it for so long. */
const LEASE_S = 60;
/** Deliveries of one process at a time; one of each webhook, so that one that hangs holds up nobody else. */
const PARALLEL = 20;

/** 5 s, 20 s, 80 s … to 12 hours, each a fifth longer or shorter, so that what failed together does not come back together. */
export const webhookPauseMs = (attempts: number): number =>
  Math.min(PAUSE_MAX_MS, 5_000 * 4 ** (attempts - 1)) * (0.8 + 0.4 * Math.random());

export interface DueDelivery {
  id: string;
  webhook_id: string;
  event_id: string;
  body: string;
  attempts: number;
  log: WebhookDelivery['log'];
  url: string;
  secrets: string[];
}

/** What a delivery needs, of a statement that has `delivery d` and `webhook w`. */
export const DUE = `d.id, d.webhook_id, d.event_id, d.body, d.attempts, d.log, w.url,
  array_remove(ARRAY[w.secret, CASE WHEN w.previous_until > now() THEN w.previous_secret END], NULL) AS secrets`;

/** Takes what is due for a while, one delivery a webhook; another process takes others. */
async function takeDue(s: Services, busy: readonly string[]): Promise<DueDelivery[]> {
  const { rows } = await s.pg.query<DueDelivery>(
    `WITH due AS (
       SELECT id FROM webhook_deliveries WHERE id IN (
         SELECT DISTINCT ON (d.webhook_id) d.id FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook_id
         WHERE d.status = 'pending' AND d.next_at <= now() AND w.enabled AND d.webhook_id <> ALL($1)
         ORDER BY d.webhook_id, d.next_at, d.seq)
       AND status = 'pending' AND next_at <= now() LIMIT $2 FOR UPDATE SKIP LOCKED
     )
     UPDATE webhook_deliveries d SET attempts = d.attempts + 1, next_at = now() + interval '${LEASE_S} seconds'
     FROM due, webhooks w WHERE d.id = due.id AND w.id = d.webhook_id
     RETURNING ${DUE}`,
    [busy, PARALLEL - busy.length],
  );
  return rows;
}

/** Makes one attempt and writes down what came of it; the next one follows after a pause, up to a limit. */
export async function deliver(
  s: Services,
  due: DueDelivery,
  { allowsPrivate = false, timeoutMs = 15_000, pauseMs = webhookPauseMs }: SenderOptions,
): Promise<void> {
  const begun = performance.now();
  const timestamp = Math.floor(Date.now() / 1_000);
  const headers = webhookHeaders({ id: due.event_id, timestamp, body: due.body }, due.secrets);
  const posted = await postWebhook(due.url, headers, due.body, { allowsPrivate, timeoutMs });
  const took = { at: timestamp, duration_ms: Math.round(performance.now() - begun) };
  await settle(s, due, posted, took, pauseMs(due.attempts));
  if (posted.statusCode === 410)
    await s.pg.query('UPDATE webhooks SET enabled = false WHERE id = $1 AND url = $2', [due.webhook_id, due.url]);
}

async function settle(
  s: Services,
  { id, attempts, log }: DueDelivery,
  { statusCode, error }: Posted,
  took: { at: number; duration_ms: number },
  pauseMs: number,
): Promise<void> {
  const entry = { ...took, status_code: statusCode, error };
  const isOver = statusCode === 410 || attempts >= ATTEMPTS_MAX;
  const status = error === null ? 'delivered' : isOver ? 'failed' : 'pending';
  await s.pg.query(
    `UPDATE webhook_deliveries SET status = $3, log = $4::jsonb, next_at = now() + $5 * interval '1 millisecond',
       delivered_at = CASE WHEN $3 = 'delivered' THEN now() END
     WHERE id = $1 AND attempts = $2 AND status = 'pending'`,
    [id, attempts, status, JSON.stringify([...log, entry].slice(-LOG_MAX)), pauseMs],
  );
}

export interface WebhookSender {
  close(): Promise<void>;
}

/** Sends what is in the outbox, in any number of processes, until it is closed. Every event is sent at least once. */
export function startWebhookSender(s: Services, options: SenderOptions = {}): WebhookSender {
  const { intervalMs = 1_000 } = options;
  const stop = new AbortController();
  const flying = new Map<string, Promise<void>>();

  const fly = (due: DueDelivery): void => {
    const delivering = deliver(s, due, options)
      .catch((error: unknown) => s.log.warn({ err: error, delivery: due.id }, 'a webhook could not be settled'))
      .finally(() => flying.delete(due.webhook_id));
    flying.set(due.webhook_id, delivering);
  };
  const running = (async () => {
    while (!stop.signal.aborted) {
      const due = await takeDue(s, [...flying.keys()]).catch((error: unknown) => {
        s.log.debug({ err: error }, 'the outbox of webhooks cannot be read now');
        return [];
      });
      for (const one of due) fly(one);
      const pause = sleep(intervalMs, undefined, { signal: stop.signal }).catch(() => undefined);
      // What one webhook waits for goes out as soon as the delivery before it is done.
      await (due.length > 0 ? Promise.race([pause, Promise.any(flying.values())]) : pause);
    }
    await Promise.all(flying.values());
  })();
  return {
    async close() {
      stop.abort();
      await running;
    },
  };
}
