import {
  AppError,
  type CreateWebhookRequest,
  newId,
  type UpdateWebhookRequest,
  WEBHOOK_EVENTS,
  type WebhookObject,
} from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { type Page, toPage } from '../ground/paging.js';
import { newWebhookSecret } from './sign-webhook.js';
import { requireWebhook, toWebhookObject } from './webhook.js';
import { refuseTarget } from './webhook-address.js';

const WEBHOOKS_MAX = 20;

export interface WebhookOptions {
  /** Whether private and loopback addresses may be posted to. */
  allowsPrivate: boolean;
}

/** Registers an address that hears of runs. Its secret is in this answer and never again. @throws AppError `invalid_value`, `conflict`. */
export async function createWebhook(
  s: Services,
  actor: Actor,
  { url, events = [...WEBHOOK_EVENTS], description = null }: CreateWebhookRequest,
  { allowsPrivate }: WebhookOptions,
): Promise<WebhookObject> {
  await refuseTarget(url, allowsPrivate);
  const secret = newWebhookSecret();
  const { projectId } = actor;
  const data = { id: newId('webhook'), projectId, url, events: [...new Set(events)], description, secret };
  const row = await s.db.$transaction(async (tx) => {
    // One at a time: two that count beside each other would be one too many.
    await tx.$queryRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`${projectId} webhooks`}, 0))::text`;
    if ((await tx.webhook.count({ where: { projectId } })) < WEBHOOKS_MAX) return tx.webhook.create({ data });
    throw new AppError('conflict', `This project has ${WEBHOOKS_MAX} webhooks already.`, { hint: 'Delete one first.' });
  });
  return toWebhookObject(row, secret);
}

/** Those of the caller's project, newest first. */
export async function listWebhooks(s: Services, actor: Actor): Promise<Page<WebhookObject>> {
  const where = { projectId: actor.projectId };
  const rows = await s.db.webhook.findMany({ where, orderBy: [{ createdAt: 'desc' }, { id: 'desc' }] });
  return toPage(
    rows.map((row) => toWebhookObject(row)),
    WEBHOOKS_MAX,
  );
}

/** @throws AppError `not_found`. */
export async function getWebhook(s: Services, actor: Actor, id: string): Promise<WebhookObject> {
  return toWebhookObject(await requireWebhook(s, actor, id));
}

/** Changes what is given. @throws AppError `not_found`, `invalid_value`. */
export async function updateWebhook(
  s: Services,
  actor: Actor,
  id: string,
  changes: UpdateWebhookRequest,
  { allowsPrivate }: WebhookOptions,
): Promise<WebhookObject> {
  await requireWebhook(s, actor, id);
  if (changes.url !== undefined) await refuseTarget(changes.url, allowsPrivate);
  return toWebhookObject(await s.db.webhook.update({ where: { id }, data: changes }));
}

/** Forgets a webhook and its deliveries. @throws AppError `not_found`. */
export async function deleteWebhook(
  s: Services,
  actor: Actor,
  id: string,
): Promise<{ id: string; object: 'webhook'; deleted: true }> {
  await requireWebhook(s, actor, id);
  await s.db.webhook.deleteMany({ where: { id } });
  return { id, object: 'webhook', deleted: true };
}

/** Gives a webhook a new secret; deliveries carry a signature of the old one too for `overlapSeconds`. @throws AppError `not_found`. */
export async function rotateWebhook(
  s: Services,
  actor: Actor,
  id: string,
  overlapSeconds: number,
): Promise<WebhookObject> {
  const { secret: previousSecret } = await requireWebhook(s, actor, id);
  const secret = newWebhookSecret();
  const previousUntil = new Date(Date.now() + overlapSeconds * 1_000);
  const row = await s.db.webhook.update({ where: { id }, data: { secret, previousSecret, previousUntil } });
  return toWebhookObject(row, secret);
}
