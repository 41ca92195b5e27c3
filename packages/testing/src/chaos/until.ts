import { setTimeout as sleep } from 'node:timers/promises';

const LOOK_MS = 50;
const AGAIN_MS = 200;
const TRIES = 100;

/** Whether it became so within the time. */
export async function until(isSo: () => Promise<boolean>, timeoutMs: number): Promise<boolean> {
  const end = performance.now() + timeoutMs;
  while (performance.now() < end) {
    if (await isSo()) return true;
    await sleep(LOOK_MS);
  }
  return false;
}

/** Tries again for a while: a server that was just started may refuse once more. */
export async function again<T>(
  work: () => Promise<T>,
  isWorthIt: (error: unknown) => boolean = () => true,
): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await work();
    } catch (error) {
      if (tries >= TRIES || !isWorthIt(error)) throw error;
      await sleep(AGAIN_MS);
    }
  }
}
