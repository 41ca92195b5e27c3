import { AppError, type WebhookDelivery, type WebhookObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import type { WebhookDeliveryModel, WebhookModel } from '../ground/generated/models.js';
import { toSeconds, toSecondsOrNull } from '../ground/time.js';

/** The object of the wire; with its secret in the one answer that made it. */
export const toWebhookObject = (row: WebhookModel, secret?: string): WebhookObject => ({
  id: row.id,
  object: 'webhook',
  created_at: toSeconds(row.createdAt),
  url: row.url,
  events: row.events,
  description: row.description,
  enabled: row.enabled,
  ...(secret === undefined ? {} : { secret }),
  previous_secret_expires_at:
    row.previousUntil !== null && row.previousUntil > new Date() ? toSeconds(row.previousUntil) : null,
});

export const toDeliveryObject = (row: WebhookDeliveryModel): WebhookDelivery => ({
  id: row.id,
  object: 'webhook.delivery',
  webhook_id: row.webhookId,
  event_id: row.eventId,
  type: row.type,
  created_at: toSeconds(row.createdAt),
  status: row.status as WebhookDelivery['status'],
  attempts: row.attempts,
  next_attempt_at: row.status === 'pending' ? toSeconds(row.nextAt) : null,
  delivered_at: toSecondsOrNull(row.deliveredAt),
  payload: JSON.parse(row.body),
  log: row.log as WebhookDelivery['log'],
});

/** The row of a webhook of the caller's project. @throws AppError `not_found`. */
export async function requireWebhook(s: Services, actor: Actor, id: string): Promise<WebhookModel> {
  const row = await s.db.webhook.findFirst({ where: { id, projectId: actor.projectId } });
  if (row) return row;
  throw new AppError('not_found', `No webhook '${id}'.`, { param: 'id', hint: 'GET /v1/webhooks lists yours.' });
}
