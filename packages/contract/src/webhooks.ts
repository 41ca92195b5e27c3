import { z } from 'zod';
import { deletedOf } from './objects/common.js';

export const DeletedWebhook = deletedOf('webhook');

/** What a webhook can hear of: the words of the OpenAI API, and two of ours for pausing. */
export const WEBHOOK_EVENTS = [
  'fine_tuning.job.succeeded',
  'fine_tuning.job.failed',
  'fine_tuning.job.cancelled',
  'fine_tuning.job.paused',
  'fine_tuning.job.resumed',
] as const;
const WebhookEvent = z.enum(WEBHOOK_EVENTS);
export type WebhookEvent = z.infer<typeof WebhookEvent>;

const settings = {
  url: z.url({ protocol: /^https?$/ }).max(2000),
  events: z.array(WebhookEvent).min(1).describe('What it hears of; default all.'),
  description: z.string().max(200).nullable(),
};

export const CreateWebhookRequest = z
  .strictObject({
    url: settings.url.describe(
      'Where events are posted. Private and loopback addresses are refused unless the operator allows them.',
    ),
    events: settings.events.optional(),
    description: settings.description.optional(),
  })
  .meta({ id: 'CreateWebhookRequest' });
export type CreateWebhookRequest = z.infer<typeof CreateWebhookRequest>;

export const UpdateWebhookRequest = z
  .strictObject({
    url: settings.url.optional(),
    events: settings.events.optional(),
    description: settings.description.optional(),
    enabled: z.boolean().optional().describe('A disabled webhook hears of nothing that happens meanwhile.'),
  })
  .meta({ id: 'UpdateWebhookRequest' });
export type UpdateWebhookRequest = z.infer<typeof UpdateWebhookRequest>;

export const WebhookObject = z
  .object({
    id: z.string(),
    object: z.literal('webhook'),
    created_at: z.int(),
    url: z.string(),
    events: z.array(z.string()),
    description: z.string().nullable(),
    enabled: z.boolean(),
    /** `whsec_…`; in the answers that made it, and never again. */
    secret: z.string().optional(),
    /** Until when deliveries are signed with the secret before it too. */
    previous_secret_expires_at: z.int().nullable(),
  })
  .meta({ id: 'Webhook' });
export type WebhookObject = z.infer<typeof WebhookObject>;

export const WebhookDelivery = z
  .object({
    id: z.string(),
    object: z.literal('webhook.delivery'),
    webhook_id: z.string(),
    /** Header `webhook-id`: the same however often it is sent. */
    event_id: z.string(),
    type: z.string(),
    created_at: z.int(),
    status: z.enum(['pending', 'delivered', 'failed']),
    attempts: z.int(),
    next_attempt_at: z.int().nullable(),
    delivered_at: z.int().nullable(),
    payload: z.unknown(),
    /** The latest attempts, oldest first. */
    log: z.array(
      z.object({ at: z.int(), status_code: z.int().nullable(), error: z.string().nullable(), duration_ms: z.int() }),
    ),
  })
  .meta({ id: 'WebhookDelivery' });
export type WebhookDelivery = z.infer<typeof WebhookDelivery>;
