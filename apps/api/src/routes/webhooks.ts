import {
  createWebhook,
  deleteWebhook,
  getWebhook,
  listDeliveries,
  listWebhooks,
  replayDelivery,
  rotateWebhook,
  testWebhook,
  updateWebhook,
} from '@moraine/services';
import type { ApiEnv } from '../env.js';
import type { Handlers } from './bind.js';

const optionsOf = ({ webhookPrivate }: ApiEnv) => ({ allowsPrivate: webhookPrivate });

export const webhookHandlers: Handlers<
  | 'createWebhook'
  | 'listWebhooks'
  | 'getWebhook'
  | 'updateWebhook'
  | 'deleteWebhook'
  | 'rotateWebhook'
  | 'testWebhook'
  | 'listWebhookDeliveries'
  | 'replayWebhookDelivery'
> = {
  createWebhook: ({ s, env, actor, body }) => createWebhook(s, actor, body, optionsOf(env)),
  listWebhooks: ({ s, actor }) => listWebhooks(s, actor),
  getWebhook: ({ s, actor, params }) => getWebhook(s, actor, params.id),
  updateWebhook: ({ s, env, actor, params, body }) => updateWebhook(s, actor, params.id, body, optionsOf(env)),
  deleteWebhook: ({ s, actor, params }) => deleteWebhook(s, actor, params.id),
  rotateWebhook: ({ s, actor, params, query }) => rotateWebhook(s, actor, params.id, query.overlap_seconds),
  testWebhook: ({ s, env, actor, params }) => testWebhook(s, actor, params.id, optionsOf(env)),
  listWebhookDeliveries: ({ s, actor, params, query }) => listDeliveries(s, actor, params.id, query),
  replayWebhookDelivery: ({ s, actor, params }) => replayDelivery(s, actor, params.id, params.delivery),
};
