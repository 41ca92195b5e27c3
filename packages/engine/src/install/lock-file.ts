import { createHash } from 'node:crypto';
import { EngineError } from '../error.js';

/** One wheel that is allowed to be installed. */
export interface LockedWheel {
  name: string;
  version: string;
  /** Lower-case hex. */
  sha256: string;
  /** Size of the download, from the comment behind the line; 0 when it is not said. */
  sizeBytes: number;
}

export interface WheelLock {
  wheels: LockedWheel[];
  /** First 16 hex digits of the sha256 over names, versions and hashes: the name of the cache folder. Comments do not count. */
  key: string;
}

/**
 * Reads a lock file of `packages/engine/wheels`: pip's requirement format, one line a wheel,
 * `name==version --hash=sha256:<64 hex digits>  # <bytes> bytes`. Anything else is refused, an unlocked line above all.
 */
export function parseWheelLock(file: string, text: string): WheelLock {
  const wheels: LockedWheel[] = [];
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const [code = '', comment = ''] = splitOnce(line, '#');
    if (code.trim() === '') continue;
    const match = /^([A-Za-z0-9._-]+)==([A-Za-z0-9.+!]+)\s+--hash=sha256:([0-9a-f]{64})$/.exec(code.trim());
    const [, name, version, sha256] = match ?? [];
    if (name === undefined || version === undefined || sha256 === undefined) {
      throw new EngineError(
        'runtime_lock_invalid',
        `${file}, line ${index + 1} is not "name==version --hash=sha256:<64 hex digits>": ${code.trim()}`,
        'Restore the file from git; every wheel must be locked by its hash.',
      );
    }
    wheels.push({ name, version, sha256, sizeBytes: Number(/(\d+) bytes/.exec(comment)?.[1] ?? 0) });
  }
  if (wheels.length === 0) {
    throw new EngineError('runtime_lock_invalid', `${file} locks no wheel.`, 'Restore the file from git.');
  }
  return { wheels, key: keyOf(wheels) };
}

/** The lock of some of the wheels, in the same order, with a key of its own. */
export function keepWheels({ wheels }: WheelLock, names: readonly string[]): WheelLock {
  const kept = wheels.filter(({ name }) => names.includes(name));
  return { wheels: kept, key: keyOf(kept) };
}

function keyOf(wheels: readonly LockedWheel[]): string {
  const hash = createHash('sha256');
  for (const { name, version, sha256 } of wheels) hash.update(`${name}==${version} ${sha256}\n`);
  return hash.digest('hex').slice(0, 16);
}

/** The same wheel as a line for pip. */
export const requirementLine = ({ name, version, sha256 }: LockedWheel): string =>
  `${name}==${version} --hash=sha256:${sha256}\n`;

function splitOnce(text: string, mark: string): [string, string] {
  const at = text.indexOf(mark);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}
