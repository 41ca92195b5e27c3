import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { template } from '../../src/bundle/contents.js';
import { type Manifest, writeAround } from '../../src/bundle/make-bundle.js';
import { type Archive, packArchive } from '../../src/bundle/pack.js';

// A bundle of a few bytes with everything that a real one has: two kinds of archive, many parts, hashes, install.sh. Its Node is a
// line of sh that starts ours, so that PATH needs none.
const dir = mkdtempSync(path.join(tmpdir(), 'moraine install '));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const at = (...parts: string[]): string => path.join(dir, ...parts);
const bundle = at('bundle');
/** All that install.sh starts. */
const needed = 'sh cat tar gzip sha256sum df mkdir mv rm uname getconf dirname readlink sed ls grep ldconfig'.split(
  ' ',
);
const noise = Array.from({ length: 3000 }, (_, i) => Math.imul(i + 1, 2654435761).toString(36)).join('');
const program = (name: string, text: string) => ({ name, text: `#!/bin/sh\n${text}\n`, isProgram: true });

const archives: Archive[] = [
  {
    name: 'node',
    packing: 'gzip',
    entries: [
      program('node/bin/node', `exec '${process.execPath}' "$@"`),
      { name: 'node/unpack.mjs', text: template('unpack.mjs') },
    ],
  },
  {
    name: 'app',
    packing: 'brotli',
    entries: [
      program('bin/moraine', 'echo "moraine $* without a network"; exit $DOCTOR_STATUS'),
      { name: 'examples/noise', text: noise },
    ],
  },
];

function linkTools(folder: string, names: readonly string[]): string {
  mkdirSync(folder);
  const search = ['/usr/bin', '/bin', '/usr/sbin', '/sbin'];
  for (const name of names) {
    const found = search.map((place) => path.join(place, name)).find((file) => existsSync(file));
    if (found !== undefined) symlinkSync(found, path.join(folder, name));
  }
  return folder;
}

const hasNamespaces = spawnSync('unshare', ['-rn', 'true']).status === 0;

interface Ran {
  status: number | null;
  output: string;
}

/** install.sh with an empty HOME, PATH without Node, npm and pip, and no network where the kernel lets us. */
function install(from: string, target: string, env: Record<string, string> = {}): Ran {
  mkdirSync(at('home'), { recursive: true });
  const words = ['/bin/sh', path.join(from, 'install.sh'), target];
  const unshare = ['/usr/bin/unshare', '/bin/unshare'].find((file) => existsSync(file)) ?? 'unshare';
  const [command = '', ...args] = hasNamespaces ? [unshare, '-rn', ...words] : words;
  const { status, stdout, stderr } = spawnSync(command, args, {
    encoding: 'utf8',
    env: { HOME: at('home'), PATH: at('tools'), ...env },
  });
  return { status, output: stdout + stderr };
}

/** A copy of the bundle that may be damaged. */
function copy(name: string): string {
  cpSync(bundle, at(name), { recursive: true });
  return at(name);
}

/** PATH with a program of our own before the real ones. */
function pathWith(name: string, text: string): Record<string, string> {
  const folder = mkdtempSync(at('fake-'));
  writeFileSync(path.join(folder, name), `#!/bin/sh\n${text}\n`);
  chmodSync(path.join(folder, name), 0o755);
  return { PATH: `${folder}:${at('tools')}` };
}

beforeAll(async () => {
  if (!hasNamespaces)
    console.warn('unshare -rn is refused on this machine: install.sh is tested with the network there.');
  linkTools(at('tools'), needed);
  mkdirSync(bundle);
  const packed: Manifest['archives'] = [];
  for (const archive of archives) {
    const parts = await packArchive(archive, bundle, 2000);
    packed.push({ name: archive.name, packing: archive.packing, unpacked_bytes: 20_000, parts });
  }
  const uname = (word: string): string => spawnSync('uname', [word], { encoding: 'utf8' }).stdout.trim();
  writeAround(bundle, {
    name: 'moraine-0-test',
    version: '0',
    machine: `${uname('-s')}-${uname('-m')}`,
    variant: 'cpu',
    slim: true,
    node: process.versions.node,
    tensorflow: '0',
    requires: { glibc: '2.17', libstdcxx: 'GLIBCXX_3.4.11' },
    unpacked_bytes: 40_000,
    packed_bytes: 20_000,
    cuda: null,
    archives: packed,
  });
});

describe('install.sh', () => {
  test('installs into an empty folder, with nothing but the usual small tools, and ends with doctor', () => {
    expect(readdirSync(bundle).filter((name) => name.startsWith('app.tar.br.')).length).toBeGreaterThan(3);
    const { status, output } = install(bundle, at('new'));
    expect(output).toContain('moraine doctor without a network');
    expect(output).toContain(`Moraine is in ${at('new')}`);
    expect(status).toBe(0);
    expect(readFileSync(at('new', 'examples', 'noise'), 'utf8')).toBe(noise);
    expect(readdirSync(at('home'))).toEqual([]);
    expect(readdirSync(at('new')).sort()).toEqual(['.moraine-bundle', 'bin', 'examples', 'node']);
  });

  test('run again it repairs what is damaged, and what the user made stays', () => {
    const target = at('again');
    install(bundle, target);
    writeFileSync(path.join(target, 'examples', 'noise'), 'damaged');
    mkdirSync(path.join(target, 'my-run'));
    writeFileSync(path.join(target, 'my-run', 'adapter'), 'mine');
    // What an installation that was killed leaves behind.
    mkdirSync(path.join(target, '.moraine-new.1', 'node'), { recursive: true });
    expect(install(bundle, target).status).toBe(0);
    expect(readFileSync(path.join(target, 'examples', 'noise'), 'utf8')).toBe(noise);
    expect(readFileSync(path.join(target, 'my-run', 'adapter'), 'utf8')).toBe('mine');
    expect(readdirSync(target).sort()).toEqual(['.moraine-bundle', 'bin', 'examples', 'my-run', 'node']);
  });

  test('missing and damaged parts are all named, and nothing is written', () => {
    const from = copy('damaged');
    rmSync(path.join(from, 'app.tar.br.001'));
    rmSync(path.join(from, 'node.tar.gz.000'));
    const part = path.join(from, 'app.tar.br.002');
    const bytes = readFileSync(part);
    bytes[5] = (bytes[5] ?? 0) ^ 1;
    writeFileSync(part, bytes);
    const { status, output } = install(from, at('none'));
    expect(status).toBe(1);
    expect(output).toContain(`missing in ${from}: node.tar.gz.000 app.tar.br.001\n`);
    expect(output).toContain('damaged (the hash differs), copy again: app.tar.br.002\n');
    expect(existsSync(at('none'))).toBe(false);
  });

  test('a list of hashes that is missing or was changed is named', () => {
    const from = copy('sums');
    const sums = path.join(from, 'SHA256SUMS');
    writeFileSync(sums, readFileSync(sums, 'utf8').split('\n').slice(1).join('\n'));
    expect(install(from, at('none')).output).toContain('SHA256SUMS is damaged or of another bundle');
    rmSync(sums);
    expect(install(from, at('none')).output).toContain(`SHA256SUMS is missing in ${from}`);
  });

  test.each([
    ['getconf', 'echo "glibc 2.9"', 'glibc 2.17 or newer is needed; this system has glibc 2.9.'],
    ['getconf', 'exit 1', 'glibc 2.17 or newer is needed; this system has another C library (musl?).'],
    ['uname', 'echo Darwin', 'this machine is Darwin-Darwin.'],
    ['df', 'echo head; echo "/dev/x 9 9 1 99% /"', 'MiB are needed in'],
    [
      'ldconfig',
      'echo "libstdc++.so.6 (libc6) => /dev/null"',
      'a libstdc++.so.6 with GLIBCXX_3.4.11 or newer is needed',
    ],
  ])('a machine that is not enough is named: %s says %s', (name, text, message) => {
    const target = at(`refused ${name}`);
    const { status, output } = install(bundle, target, pathWith(name, text));
    expect(output).toContain(message);
    expect(status).toBe(1);
    expect(existsSync(path.join(target, 'bin'))).toBe(false);
  });

  test('a newer glibc of more digits is new enough', () => {
    expect(install(bundle, at('newer'), pathWith('getconf', 'echo "glibc 2.100"')).status).toBe(0);
  });

  test('a folder with something else in it is not written to', () => {
    mkdirSync(at('full'));
    writeFileSync(at('full', 'thesis.txt'), 'mine');
    const { status, output } = install(bundle, at('full'));
    expect(output).toContain(`${at('full')} is not empty and holds no Moraine`);
    expect(status).toBe(1);
    expect(readdirSync(at('full'))).toEqual(['thesis.txt']);
  });

  test('a machine on which doctor finds something missing ends with status 1', () => {
    const { status, output } = install(bundle, at('sick'), { DOCTOR_STATUS: '1' });
    expect(output).toContain('it is not ready to train');
    expect(status).toBe(1);
  });

  test('a folder is needed where there is no home', () => {
    const { status, output } = install(bundle, '', { HOME: '' });
    expect(output).toContain('HOME is not set: name a folder.');
    expect(status).toBe(1);
  });
});
