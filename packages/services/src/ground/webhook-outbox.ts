import type { RunStatus, WebhookEvent } from '@moraine/contract';

/** The event of a move, for those who asked to hear of it; null for moves that are none. */
export function webhookEventOf(to: RunStatus, from: readonly RunStatus[]): WebhookEvent | null {
  switch (to) {
    case 'succeeded':
    case 'failed':
    case 'cancelled':
    case 'paused':
      return `fine_tuning.job.${to}`;
    case 'queued':
      return from.length === 1 && from[0] === 'paused' ? 'fine_tuning.job.resumed' : null;
    default:
      return null;
  }
}

/**
 * Fills the outbox in the statement that moves a task, whose row is `moved`: either both are stored or neither. `type` is the parameter that holds
 * the event. Only runs are told of.
 */
export const outboxSql = (type: string): string => `event AS MATERIALIZED (
  SELECT 'evt_' || replace(gen_random_uuid()::text, '-', '') AS id FROM moved WHERE kind = 'train'
), outbox AS (
  INSERT INTO webhook_deliveries (id, webhook_id, event_id, type, body)
  SELECT 'whd_' || replace(gen_random_uuid()::text, '-', ''), w.id, event.id, ${type}::text, json_build_object('id', event.id, 'object', 'event',
    'type', ${type}::text, 'created_at', extract(epoch FROM now())::bigint, 'data', json_build_object('id', moved.id))::text
  FROM moved, event, webhooks w WHERE w.project_id = moved.project_id AND w.enabled AND ${type}::text = ANY(w.events)
)`;
