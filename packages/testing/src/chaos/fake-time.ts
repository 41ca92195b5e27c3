import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ownEnv } from '../env.js';

/** Clocks of processes, by libfaketime: those that are started with `env(name)` have the clock `name`. */
export interface FakeTime {
  env(name: string): Record<string, string>;
  /** Puts a clock on or back, at once. Milliseconds, counted from the true time. */
  set(name: string, stepMs: number): void;
  close(): void;
}

/** Where systems put the library: Debian's package is `libfaketime`. */
function findLibrary(): string | null {
  const dirs = ['/usr/lib', '/usr/lib64', '/usr/local/lib'].filter((dir) => existsSync(dir));
  const below = dirs.flatMap((dir) => readdirSync(dir).map((name) => path.join(dir, name, 'faketime')));
  const all = [...dirs.map((dir) => path.join(dir, 'faketime')), ...below];
  return all.map((dir) => path.join(dir, 'libfaketime.so.1')).find((file) => existsSync(file)) ?? null;
}

/** @param dir of the files that say what time it is; null where libfaketime is missing or moves no clock */
export function openFakeTime(dir: string): FakeTime | null {
  const library = findLibrary();
  if (library === null) return null;
  const fileOf = (name: string): string => path.join(dir, `clock-${name}`);
  const set = (name: string, stepMs: number): void => {
    writeFileSync(`${fileOf(name)}.new`, `${stepMs < 0 ? '-' : '+'}${Math.abs(stepMs / 1_000)}`);
    renameSync(`${fileOf(name)}.new`, fileOf(name));
  };
  const env = (name: string): Record<string, string> => {
    if (!existsSync(fileOf(name))) set(name, 0);
    // Time that only goes on is left alone, as where somebody sets the clock of a machine.
    const settings = {
      FAKETIME_TIMESTAMP_FILE: fileOf(name),
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    };
    return { LD_PRELOAD: library, ...settings };
  };
  const fake: FakeTime = { env, set, close: removeLeftovers };
  return doesMove(fake) ? fake : null;
}

function doesMove({ env, set }: FakeTime): boolean {
  set('proof', 300_000);
  const { stdout } = spawnSync(process.execPath, ['-p', 'Date.now()'], { env: ownEnv(env('proof')), encoding: 'utf8' });
  return Math.abs(Number(stdout) - Date.now() - 300_000) < 10_000;
}

/** A process that is killed leaves what libfaketime shared with its children. */
function removeLeftovers(): void {
  for (const name of readdirSync('/dev/shm')) {
    const [, pid] = /^(?:sem\.faketime_sem|faketime_shm)_(\d+)$/.exec(name) ?? [];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) rmSync(path.join('/dev/shm', name), { force: true });
  }
}
