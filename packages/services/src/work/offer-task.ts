import type { Services } from '../ground/context.js';

export interface Offer {
  id: string;
  pool: string;
  submission: number;
  /** 0 to 100, higher first. */
  priority: number;
}

/** Id of the wake-up of a task; BullMQ ignores an id that is there already. */
export const wakeUpId = (offer: Pick<Offer, 'id' | 'submission'>): string => `${offer.id}-${offer.submission}`;

/** BullMQ takes the lowest number first and runs a job without one before all others, so it is always set. */
export const wakeUpPriority = (priority: number): number => 101 - Math.min(100, Math.max(0, priority));

/** The BullMQ job that is the wake-up of a task. */
const wakeUpOf = (offer: Offer, delayMs = 0) => ({
  name: 'wake' as const,
  data: { taskId: offer.id, submission: offer.submission },
  opts: {
    jobId: wakeUpId(offer),
    attempts: 1,
    priority: wakeUpPriority(offer.priority),
    removeOnComplete: true,
    removeOnFail: true,
    ...(delayMs > 0 ? { delay: delayMs } : {}),
  },
});

/**
 * Puts a wake-up for a queued task into its pool's queue; call it after the row is committed. Returns false when Redis is away or silent: the
 * task is safe in Postgres and the reconciler offers it again.
 */
export async function offerTask(s: Services, offer: Offer, { delayMs = 0 } = {}): Promise<boolean> {
  const { name, data, opts } = wakeUpOf(offer, delayMs);
  const add = () => s.queues.of(offer.pool).add(name, data, opts);
  return (await s.redisLink.tell('A wake-up (the reconciler will offer the task)', add)) !== null;
}

/** Puts the wake-ups of tasks of one pool into its queue at once. Rejects when Redis is away. */
export async function offerTasks(s: Services, pool: string, offers: readonly Offer[]): Promise<void> {
  if (offers.length > 0) await s.queues.of(pool).addBulk(offers.map((offer) => wakeUpOf(offer)));
}

/** Takes the wake-up of a claimed task out of the queue, so that what waits there is the backlog. Whoever holds it finishes it itself. */
export async function withdrawOffer(s: Services, offer: Pick<Offer, 'id' | 'pool' | 'submission'>): Promise<void> {
  await s.redisLink.tell('The withdrawal of a wake-up', () => s.queues.of(offer.pool).remove(wakeUpId(offer)));
}
