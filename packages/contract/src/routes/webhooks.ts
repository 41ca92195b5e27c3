import { z } from 'zod';
import { listOf } from '../objects/index.js';
import {
  CreateWebhookRequest,
  DeletedWebhook,
  UpdateWebhookRequest,
  WebhookDelivery,
  WebhookObject,
} from '../webhooks.js';
import { after, id, inQuery, limit, table } from './route.js';

export const WEBHOOK_ROUTES = table({
  createWebhook: {
    method: 'POST',
    path: '/v1/webhooks',
    tag: 'Webhooks',
    summary: 'Register an address that hears what becomes of runs; its signing secret is in this answer alone',
    body: CreateWebhookRequest,
    response: WebhookObject,
  },
  listWebhooks: {
    method: 'GET',
    path: '/v1/webhooks',
    tag: 'Webhooks',
    summary: 'Webhooks, newest first',
    response: listOf(WebhookObject),
  },
  getWebhook: {
    method: 'GET',
    path: '/v1/webhooks/:id',
    tag: 'Webhooks',
    summary: 'One webhook',
    params: id,
    response: WebhookObject,
  },
  updateWebhook: {
    method: 'POST',
    path: '/v1/webhooks/:id',
    tag: 'Webhooks',
    summary: 'Change a webhook',
    params: id,
    body: UpdateWebhookRequest,
    response: WebhookObject,
  },
  deleteWebhook: {
    method: 'DELETE',
    path: '/v1/webhooks/:id',
    tag: 'Webhooks',
    summary: 'Delete a webhook and its deliveries',
    params: id,
    response: DeletedWebhook,
  },
  rotateWebhook: {
    method: 'POST',
    path: '/v1/webhooks/:id/rotate',
    tag: 'Webhooks',
    summary: 'Give a webhook a new secret; deliveries are signed with both for a while',
    params: id,
    query: z.strictObject({
      overlap_seconds: inQuery(z.int().min(0).max(604_800))
        .default(86_400)
        .describe('How long deliveries are signed with the old secret too.'),
    }),
    response: WebhookObject,
  },
  testWebhook: {
    method: 'POST',
    path: '/v1/webhooks/:id/test',
    tag: 'Webhooks',
    summary: 'Send an event of type `webhook.test` now; the answer says what came of it',
    params: id,
    response: WebhookDelivery,
  },
  listWebhookDeliveries: {
    method: 'GET',
    path: '/v1/webhooks/:id/deliveries',
    tag: 'Webhooks',
    summary: 'What was and is to be sent to a webhook, newest first, with every attempt',
    params: id,
    query: z.strictObject({ limit: limit(20, 100), after, status: WebhookDelivery.shape.status.optional() }),
    response: listOf(WebhookDelivery),
  },
  replayWebhookDelivery: {
    method: 'POST',
    path: '/v1/webhooks/:id/deliveries/:delivery/replay',
    tag: 'Webhooks',
    summary: 'Send a delivery once more, under the id that it had',
    params: z.object({ id: z.string(), delivery: z.string() }),
    response: WebhookDelivery,
  },
});
