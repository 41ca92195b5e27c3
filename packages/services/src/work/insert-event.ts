import { type EventObject, newId } from '@moraine/contract';
import type { Prisma } from '../ground/db.js';
import { toEventObject } from './record-event.js';

export interface NewEvent {
  projectId: string;
  runId: string;
  /** 0 when no attempt is concerned. */
  attempt: number;
  level: EventObject['level'];
  message: string;
  data?: Prisma.InputJsonObject;
}

/** Writes an event inside the transaction of what it tells about. Publish the answer to the run's stream after the commit. */
export async function insertEvent(tx: Prisma.TransactionClient, event: NewEvent): Promise<EventObject> {
  return toEventObject(await tx.event.create({ data: { id: newId('event'), type: 'message', ...event } }));
}
