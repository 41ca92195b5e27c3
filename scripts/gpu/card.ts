import { runCommand } from '@moraine/engine/install';

const EVERY_MS = 1000;

/** Memory in use on the first visible card, MB; null where nvidia-smi is not there. */
export async function cardMemory(): Promise<number | null> {
  const query = ['--query-gpu=memory.used', '--format=csv,noheader,nounits'];
  const { status, stdout } = await runCommand('nvidia-smi', query);
  const used = Number(stdout.split('\n')[0]);
  return status === 0 && Number.isFinite(used) ? used : null;
}

/** Runs `work` and returns what came of it, with the most that the card held over what it held before, MB. */
export async function watchCard<T>(work: () => Promise<T>): Promise<{ value: T; cardMb: number | null }> {
  const before = await cardMemory();
  let most = before ?? 0;
  let asking = before === null;
  const watch = setInterval(() => {
    if (asking) return;
    asking = true;
    void cardMemory().then((used) => {
      most = Math.max(most, used ?? 0);
      asking = false;
    });
  }, EVERY_MS);
  try {
    const value = await work();
    return { value, cardMb: before === null ? null : most - before };
  } finally {
    clearInterval(watch);
  }
}
