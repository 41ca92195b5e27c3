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

/**
 * Puts a wake-up for a queued task into its pool's queue; call it after the row is committed. Returns false when Redis is away or silent: the
 * task is safe in Postgres and the reconciler offers it again.
 */
export async function offerTask(s: Services, offer: Offer, { delayMs = 0 } = {}): Promise<boolean> {
  const add = () =>
    s.queues.of(offer.pool).add(
      'wake',
      { taskId: offer.id, submission: offer.submission },
      {
        jobId: wakeUpId(offer),
        attempts: 1,
        priority: wakeUpPriority(offer.priority),
        removeOnComplete: true,
        removeOnFail: true,
        ...(delayMs > 0 ? { delay: delayMs } : {}),
      },
    );
  return (await s.redisLink.tell('A wake-up (the reconciler will offer the task)', add)) !== null;
}

/** Takes the wake-up of a claimed task out of the queue, so that what waits there is the backlog. Whoever holds it finishes it itself. */
export async function withdrawOffer(s: Services, offer: Pick<Offer, 'id' | 'pool' | 'submission'>): Promise<void> {
  await s.redisLink.tell('The withdrawal of a wake-up', () => s.queues.of(offer.pool).remove(wakeUpId(offer)));
}
