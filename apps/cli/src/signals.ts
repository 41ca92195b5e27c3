const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export interface Stoppable {
  stop(): Promise<void>;
  kill(): Promise<void>;
}

/**
 * Runs something until the first Ctrl-C (or SIGTERM, or the terminal closes), then stops it; a second one kills it. `signal` aborts with
 * the first, so that a start can be given up. `start` may answer an exit status instead, when there is nothing to wait for.
 */
export async function untilSignal(start: (signal: AbortSignal) => Promise<Stoppable | number>): Promise<number> {
  const first = new AbortController();
  const second = new AbortController();
  // Ctrl-C under npm arrives twice within milliseconds: from the terminal and passed on by npm.
  let firstAt = 0;
  const hear = (): void => {
    if (!first.signal.aborted) {
      firstAt = performance.now();
      first.abort();
    } else if (performance.now() - firstAt > 300) second.abort();
  };
  const when = (signal: AbortSignal): Promise<void> =>
    new Promise((resolve) =>
      signal.aborted ? resolve() : signal.addEventListener('abort', () => resolve(), { once: true }),
    );
  for (const name of SIGNALS) process.on(name, hear);
  const alive = setInterval(() => {}, 60_000);
  try {
    const running = await start(first.signal);
    if (typeof running === 'number') return running;
    await when(first.signal);
    const killed = await Promise.race([running.stop().then(() => false), when(second.signal).then(() => true)]);
    if (killed) await running.kill();
    return killed ? 130 : 0;
  } catch (error) {
    if (first.signal.aborted && error === first.signal.reason) return 130;
    throw error;
  } finally {
    clearInterval(alive);
    for (const name of SIGNALS) process.off(name, hear);
  }
}
