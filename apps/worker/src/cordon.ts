import { setTimeout as sleep } from 'node:timers/promises';

/** Whether a worker takes anything new. */
export interface Cordon {
  set(isOn: boolean): void;
  isOn(): boolean;
  /** Aborts when it is put on; a wait for something new ends then, and leaves it to others. */
  signal(): AbortSignal;
  /** Resolves when it is taken off, or when `end` aborts. */
  untilOff(end: AbortSignal): Promise<void>;
}

const LOOK_MS = 100;

export function openCordon(): Cordon {
  let open = new AbortController();
  const isOn = (): boolean => open.signal.aborted;
  return {
    set(wanted) {
      if (wanted) open.abort();
      else if (isOn()) open = new AbortController();
    },
    isOn,
    signal: () => open.signal,
    async untilOff(end) {
      while (isOn() && !end.aborted) await sleep(LOOK_MS, undefined, { signal: end }).catch(() => undefined);
    },
  };
}
