import { createHash } from 'node:crypto';
import { ID_PREFIX, type StreamMessage } from '@moraine/contract';
import {
  type AttemptToken,
  eventMessage,
  type NewEvent,
  recordEvent,
  recordEvents,
  type Services,
} from '@moraine/services';
import type { LivePublisher } from './live-publisher.js';

/** The same event of an attempt has the same id when it is sent again. */
export function eventId({ taskId, attempt }: AttemptToken, order: number | string): string {
  const digest = createHash('sha256').update(`${taskId} ${attempt} ${order}`).digest('hex');
  return `${ID_PREFIX.event}${digest.slice(0, 24)}`;
}

/** Stores an event of an attempt once, however often it is sent; returns the message for its followers. */
export async function storeEvent(
  s: Services,
  token: AttemptToken,
  order: number | string,
  event: Omit<NewEvent, 'id'>,
): Promise<StreamMessage> {
  return eventMessage(await recordEvent(s, token, { ...event, id: eventId(token, order) }));
}

/** The same for several events at once. */
export async function storeEvents(
  s: Services,
  token: AttemptToken,
  events: readonly (Omit<NewEvent, 'id'> & { order: number | string })[],
): Promise<StreamMessage[]> {
  if (events.length === 0) return [];
  const numbered = events.map(({ order, ...event }) => ({ ...event, id: eventId(token, order) }));
  return (await recordEvents(s, token, numbered)).map(eventMessage);
}

export type SendEvent = (order: number, event: Omit<NewEvent, 'id'>) => Promise<void>;

/** Stores an event and then sends it to the live stream. */
export const eventSender =
  (s: Services, token: AttemptToken, live: LivePublisher): SendEvent =>
  async (order, event) =>
    live.send([await storeEvent(s, token, order, event)]);
