/** Between two parts of a stream no more time than this passes without a sign of life. */
export const HEARTBEAT_MS = 10_000;
/** A comment: clients pass over it, where a named event without an answer would break them. */
const BEAT = ': waiting\n\n';

/** The events of a stream, and a comment whenever none came for so long, so that nobody between takes it for dead. */
export async function* withHeartbeats(events: AsyncIterable<string>, everyMs: number): AsyncGenerator<string> {
  const source = events[Symbol.asyncIterator]();
  let next = source.next();
  try {
    for (;;) {
      const beat = alarm(everyMs);
      const came = await Promise.race([next, beat.rings]);
      beat.stop();
      if (came === null) {
        yield BEAT;
        continue;
      }
      if (came.done === true) return;
      yield came.value;
      next = source.next();
    }
  } finally {
    await source.return?.();
  }
}

function alarm(ms: number): { rings: Promise<null>; stop(): void } {
  let stop = (): void => undefined;
  const rings = new Promise<null>((resolve) => {
    const timer = setTimeout(() => resolve(null), ms);
    stop = () => clearTimeout(timer);
  });
  return { rings, stop };
}
