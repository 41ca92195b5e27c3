import { type DestinationStream, pino } from 'pino';

/** Lines that are kept for a disk that is full; beyond them they are counted and lost. */
const KEPT_BYTES = 1_000_000;

/**
 * Where a process of ours logs. A disk that is full or fails never ends the process: the last lines are kept and written when they can
 * be, what was lost is counted in a line of its own.
 */
export function openLogDestination(fd = 1): DestinationStream {
  const destination = pino.destination({ fd, sync: true, maxLength: KEPT_BYTES });
  let lost = 0;
  let fault = '';
  destination.on('error', (error: NodeJS.ErrnoException) => {
    fault = error.code ?? error.message;
  });
  destination.on('drop', () => {
    lost++;
  });
  destination.on('write', () => {
    if (lost === 0) return;
    const msg = `${lost} log lines were lost: ${fault}`;
    lost = 0;
    process.nextTick(() => destination.write(`${JSON.stringify({ level: 40, time: Date.now(), msg })}\n`));
  });
  // Who writes past the log: a warning of Node, a library.
  for (const stream of [process.stdout, process.stderr])
    if (!stream.listeners('error').includes(ignore)) stream.on('error', ignore);
  return destination;
}

const ignore = (): void => undefined;
