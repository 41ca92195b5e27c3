import { writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';

/**
 * Lowers a process that was just started as the leader of a session of its own, with every thread that it will start: `nice` from 1 (a little)
 * to 19 (only what others leave). Linux shares processors out by session first, so the session is lowered too; elsewhere, and where
 * sessions share nothing (containers), the process alone. A system that does not let us is no reason not to train.
 */
export function lowerPriority(pid: number, nice: number): void {
  if (nice === 0) return;
  attempt(() => setPriority(pid, nice));
  attempt(() => writeFileSync(`/proc/${pid}/autogroup`, String(nice), { flag: 'r+' }));
}

function attempt(lower: () => void): void {
  try {
    lower();
  } catch {
    // It keeps the priority that it has.
  }
}
