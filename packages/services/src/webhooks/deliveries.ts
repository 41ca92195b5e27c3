import { AppError, newId, type WebhookDelivery } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import type { WebhookDeliveryModel } from '../ground/generated/models.js';
import { cursorOrThrow, type Page, toPage } from '../ground/paging.js';
import { DUE, type DueDelivery, deliver, type SenderOptions } from './send-webhooks.js';
import { requireWebhook, toDeliveryObject } from './webhook.js';

export interface ListDeliveries {
  limit: number;
  after?: string;
  status?: WebhookDelivery['status'];
}

/** What was and is to be sent to a webhook, newest first, with what came of each attempt. @throws AppError `not_found`. */
export async function listDeliveries(
  s: Services,
  actor: Actor,
  webhookId: string,
  { limit, after, status }: ListDeliveries,
): Promise<Page<WebhookDelivery>> {
  await requireWebhook(s, actor, webhookId);
  const cursor =
    after === undefined
      ? null
      : cursorOrThrow(await s.db.webhookDelivery.findFirst({ where: { id: after, webhookId } }), after);
  const rows = await s.db.webhookDelivery.findMany({
    where: { webhookId, ...(status ? { status } : {}), ...(cursor ? { seq: { lt: cursor.seq } } : {}) },
    orderBy: { seq: 'desc' },
    take: limit + 1,
  });
  return toPage(rows.map(toDeliveryObject), limit);
}

async function requireDelivery(
  s: Services,
  actor: Actor,
  webhookId: string,
  id: string,
): Promise<WebhookDeliveryModel> {
  await requireWebhook(s, actor, webhookId);
  const row = await s.db.webhookDelivery.findFirst({ where: { id, webhookId } });
  if (row) return row;
  throw new AppError('not_found', `No delivery '${id}'.`, {
    param: 'delivery',
    hint: 'GET /v1/webhooks/{id}/deliveries lists them.',
  });
}

/** Sends a delivery once more, under the id that it had, with its attempts counted anew. @throws AppError `not_found`. */
export async function replayDelivery(
  s: Services,
  actor: Actor,
  webhookId: string,
  id: string,
): Promise<WebhookDelivery> {
  await requireDelivery(s, actor, webhookId, id);
  const data = { status: 'pending', attempts: 0, nextAt: new Date(), deliveredAt: null };
  return toDeliveryObject(await s.db.webhookDelivery.update({ where: { id }, data }));
}

/** Sends an event of type `webhook.test` now, and returns what came of it. @throws AppError `not_found`. */
export async function testWebhook(
  s: Services,
  actor: Actor,
  webhookId: string,
  options: SenderOptions,
): Promise<WebhookDelivery> {
  await requireWebhook(s, actor, webhookId);
  const [id, eventId] = [newId('delivery'), newId('webhookEvent')];
  const type = 'webhook.test';
  const created_at = Math.floor(Date.now() / 1_000);
  const body = JSON.stringify({ id: eventId, object: 'event', type, created_at, data: { id: webhookId } });
  // Held from the start, so that no sender takes it beside this one; the caller sees its one attempt.
  const { rows } = await s.pg.query<DueDelivery>(
    `WITH d AS (
       INSERT INTO webhook_deliveries (id, webhook_id, event_id, type, body, attempts, next_at)
       VALUES ($1, $2, $3, $4, $5, 1, now() + interval '1 minute') RETURNING *
     ) SELECT ${DUE} FROM d JOIN webhooks w ON w.id = d.webhook_id`,
    [id, webhookId, eventId, type, body],
  );
  for (const due of rows) await deliver(s, due, options);
  await s.pg.query(`UPDATE webhook_deliveries SET status = 'failed' WHERE id = $1 AND status = 'pending'`, [id]);
  return toDeliveryObject(await requireDelivery(s, actor, webhookId, id));
}
