/**
 * `npx tsx scripts/gpu/wheels.ts`: asks pip, without installing anything, what `tensorflow[and-cuda]` consists of, and compares it with
 * our lock file: every NVIDIA wheel that TensorFlow names is locked, each at a version that TensorFlow allows, with the index's hash.
 * Needs a network; ends with status 1 when something differs.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseWheelLock } from '../../packages/engine/dist/install/lock-file.js';

interface Report {
  install: {
    metadata: { name: string; version: string };
    download_info: { archive_info?: { hashes?: { sha256?: string } } };
  }[];
}

const lockFile = join(import.meta.dirname, '../../packages/engine/wheels/linux-x64-cuda.txt');
const { wheels } = parseWheelLock(lockFile, readFileSync(lockFile, 'utf8'));
const [tensorflow] = wheels;
if (tensorflow === undefined) throw new Error(`${lockFile} is empty`);
const work = mkdtempSync(join(tmpdir(), 'moraine-wheels-'));
try {
  const constraints = join(work, 'constraints.txt');
  const report = join(work, 'report.json');
  writeFileSync(constraints, wheels.map(({ name, version }) => `${name}==${version}\n`).join(''));
  const platforms = ['manylinux_2_28_x86_64', 'manylinux_2_27_x86_64', 'manylinux_2_17_x86_64', 'manylinux2014_x86_64'];
  const args = [
    ...['-m', 'pip', 'install', '-q', '--dry-run', '--ignore-installed', '--only-binary=:all:', '--no-cache-dir'],
    ...['--implementation', 'cp', '--python-version', '3.12', ...platforms.flatMap((name) => ['--platform', name])],
    ...['--target', join(work, 'nothing'), '--report', report, '-c', constraints],
    `tensorflow[and-cuda]==${tensorflow.version}`,
  ];
  execFileSync('python3', args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const { install } = JSON.parse(readFileSync(report, 'utf8')) as Report;
  const resolved = new Map(
    install
      .map(({ metadata, download_info: info }) => ({ ...metadata, sha256: info.archive_info?.hashes?.sha256 }))
      .filter(({ name }) => name === 'tensorflow' || name.startsWith('nvidia-'))
      .map((one) => [one.name, one]),
  );
  let different = 0;
  const tell = (line: string): void => {
    different += 1;
    console.log(line);
  };
  for (const { name, version, sha256 } of wheels) {
    const found = resolved.get(name);
    if (found === undefined) tell(`${name} ${version} is locked, but tensorflow[and-cuda] does not ask for it`);
    else if (found.version !== version) tell(`${name} is locked at ${version}, pip took ${found.version}`);
    else if (found.sha256 !== sha256) tell(`${name} ${version}: locked ${sha256}, the index says ${found.sha256}`);
    else console.log(`${name} ${version} ${sha256.slice(0, 16)}…`);
  }
  for (const name of resolved.keys()) {
    if (!wheels.some((wheel) => wheel.name === name)) tell(`${name} is asked for and not locked`);
  }
  console.log(different === 0 ? `All ${wheels.length} wheels agree with the index.` : `${different} differ.`);
  process.exitCode = different === 0 ? 0 : 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}
