import { totalmem } from 'node:os';

/** What the machine, or the container around us, has of memory, bytes. */
export function machineMemory(): number {
  const limit = process.constrainedMemory();
  const total = totalmem();
  return limit > 0 && limit < total ? limit : total;
}
