import type { Services } from './context.js';

/**
 * A notice to whichever worker holds the task, or to a worker that something else is asked of it now. It may get lost: the renewal of the lease, the ingest of
 * metrics and the heartbeat say the same.
 */
export type ControlMessage = { type: 'cancel' | 'pause'; taskId: string } | { type: 'worker'; workerId: string };

/** Channels are not scoped by Redis' database number; task ids are unique, so a message of another database finds no task here. */
export const controlChannel = (s: Services): string => `${s.redisPrefix}:control`;

/** Tells all workers; Redis being away or silent is no error and holds nobody up. */
export async function publishControl(s: Services, message: ControlMessage): Promise<void> {
  await s.redisLink.tell('A control message (the worker learns it from its lease)', () =>
    s.redis.publish(controlChannel(s), JSON.stringify(message)),
  );
}
