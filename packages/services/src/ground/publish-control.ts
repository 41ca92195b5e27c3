import type { Services } from './context.js';

/** A notice to whichever worker holds the task. It may get lost: the renewal of the lease and the ingest of metrics say the same. */
export interface ControlMessage {
  type: 'cancel' | 'pause';
  taskId: string;
}

/** Channels are not scoped by Redis' database number; task ids are unique, so a message of another database finds no task here. */
export const controlChannel = (s: Services): string => `${s.redisPrefix}:control`;

/** Tells all workers; Redis being away is no error. */
export async function publishControl(s: Services, message: ControlMessage): Promise<void> {
  await s.redis.publish(controlChannel(s), JSON.stringify(message)).catch((error: unknown) => {
    s.log.warn(
      { err: error, taskId: message.taskId },
      'control message not delivered: Redis is away; the worker learns it from its lease',
    );
  });
}
