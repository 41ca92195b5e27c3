import { Redis } from 'ioredis';
import type { Services } from './context.js';
import { type ControlMessage, controlChannel } from './publish-control.js';
import { redisRetryMs } from './redis-retry.js';

/** Listens on a connection of its own until the answer is called. Subscribes again by itself when Redis comes back. */
export function listenControl(s: Services, onMessage: (message: ControlMessage) => void): () => void {
  const redis = new Redis(s.redisUrl, {
    connectionName: 'moraine-control',
    maxRetriesPerRequest: null,
    retryStrategy: redisRetryMs,
  });
  redis.on('error', (error: Error) => s.log.debug({ err: error }, 'the control channel lost Redis'));
  redis.on('message', (_channel: string, text: string) => {
    const message = parseControl(text);
    if (message) onMessage(message);
  });
  redis.subscribe(controlChannel(s)).catch(() => undefined);
  return () => redis.disconnect();
}

function parseControl(text: string): ControlMessage | null {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return null;
    const { type, taskId, workerId } = value as Record<string, unknown>;
    if (type === 'worker') return typeof workerId === 'string' ? { type, workerId } : null;
    return (type === 'cancel' || type === 'pause') && typeof taskId === 'string' ? { type, taskId } : null;
  } catch {
    return null;
  }
}
