import { Script } from 'node:vm';

const ENTRY = Symbol.for('moraine.limited-work');
const script = new Script("globalThis[Symbol.for('moraine.limited-work')]()", { filename: 'limit-time' });

/** Work that took longer than it may. */
export class TimeUp extends Error {
  override readonly name = 'TimeUp';
  constructor(readonly msMax: number) {
    super(`takes longer than ${msMax / 1_000} s`);
  }
}

/**
 * Runs work that never gives way by itself, such as a chat template, a tokenizer's pattern or sums of large numbers, and ends it after so many
 * milliseconds: Node's own watch over a script reaches loops, patterns and big integers alike. Work that ends so anywhere must leave what it changes
 * as it can be used again, or that must not be used again. It costs some hundredths of a millisecond.
 * @throws TimeUp
 */
export function limitTime<T>(msMax: number, work: () => T): T {
  const place = globalThis as { [ENTRY]?: () => void };
  const outer = place[ENTRY];
  const done: { value: T }[] = [];
  place[ENTRY] = () => void done.push({ value: work() });
  try {
    script.runInThisContext({ timeout: Math.ceil(msMax) });
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT')
      throw new TimeUp(msMax);
    throw error;
  } finally {
    if (outer === undefined) delete place[ENTRY];
    else place[ENTRY] = outer;
  }
  const [result] = done;
  if (result === undefined) throw new TimeUp(msMax);
  return result.value;
}
