import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { AppError } from '@moraine/contract';
import { makeFolder } from '@moraine/contract/make-folder';
import type { OnProgress, StagedRuntime } from '@moraine/engine/install';
import { inRepo, version } from '../paths.js';
import { contentsOf, template } from './contents.js';
import { newestNeeds } from './elf-needs.js';
import { compileGpuScripts, makeStubs } from './gpu-parts.js';
import { oldGpuCode } from './old-gpu-code.js';
import { type Archive, type Entry, type Part, packArchive } from './pack.js';

export interface BundleOptions {
  variant: 'cpu' | 'cuda';
  isSlim: boolean;
  partBytes: number;
  out: string;
}

/** `manifest.json` of a bundle. */
export interface Manifest {
  name: string;
  version: string;
  /** As `uname` says: `Linux-x86_64`. */
  machine: string;
  variant: 'cpu' | 'cuda';
  slim: boolean;
  node: string;
  tensorflow: string;
  requires: { glibc: string; libstdcxx: string };
  unpacked_bytes: number;
  packed_bytes: number;
  cuda: CudaContents | null;
  archives: { name: string; packing: 'gzip' | 'brotli'; unpacked_bytes: number; parts: Part[] }[];
}

/** What a bundle with CUDA holds of it. */
interface CudaContents {
  libraries: string[];
  /** Compiled code of older cards was left out; null: nothing was. */
  least_compute_capability: string | null;
  /** Empty libraries for `test:gpu` alone; whatever else uses the GPU takes these libraries from the machine. */
  stubs: string[];
}

/** A slim bundle carries code for Volta and later: what still is rented out. */
const LEAST_ARCH = 70;
const MACHINES: Record<string, string> = { x64: 'Linux-x86_64', arm64: 'Linux-aarch64' };

/** Makes a bundle of this checkout in `out`: parts, hashes, manifest, install.sh. Returns its manifest. */
export async function makeBundle(options: BundleOptions, say: (line: string) => void): Promise<Manifest> {
  const { variant, isSlim, out } = options;
  const machine = process.platform === 'linux' ? MACHINES[process.arch] : undefined;
  if (machine === undefined)
    throw new AppError('invalid_request', `A bundle cannot be made on ${process.platform}-${process.arch}.`, {
      hint: 'Make it on Linux, x64 or arm64, for machines of the same kind.',
    });
  clearOut(out);
  const work = mkdtempSync(path.join(tmpdir(), 'moraine-bundle-'));
  try {
    const engine = await import('@moraine/engine/install');
    const progress: OnProgress = ({ phase, detail }) => phase !== 'link' && say(`${phase} ${detail}`);
    const staged = await engine.stageRuntime({ variant, isSlim, folder: work }, progress);
    const stubs = variant === 'cuda' && isSlim ? await makeStubs(path.join(work, 'stubs')) : [];
    const gpuScripts = await compileGpuScripts(path.join(work, 'scripts'));
    const valkey = isSlim ? null : await engine.installValkey({}, progress);
    const content = { root: inRepo(), version: version(), staged, isSlim, valkey, stubs, gpuScripts };
    const archives = contentsOf(content).map((archive) => (isSlim ? withoutOldCards(archive) : archive));
    return await write(options, machine, staged, archives, say);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** An earlier bundle makes room; anything else in the folder is not ours to remove. */
function clearOut(out: string): void {
  makeFolder(out);
  const names = readdirSync(out);
  const ours = /^(install\.sh|manifest\.json|SHA256SUMS|[a-z]+\.tar\.(gz|br)\.\d+)$/;
  const other = names.find((name) => !ours.test(name));
  if (other !== undefined)
    throw new AppError('invalid_request', `${out} holds ${other}, which is no part of a bundle.`, {
      hint: 'Give --out an empty or new folder.',
    });
  for (const name of names) rmSync(path.join(out, name));
}

/** The CUDA libraries, and TensorFlow's own, without code for cards that the bundle is not for. */
const withoutOldCards = (archive: Archive): Archive => ({
  ...archive,
  entries: archive.entries.map((entry) =>
    'from' in entry && /\/lib(cublas|cublasLt|tensorflow_cc)\.so/.test(entry.name)
      ? { ...entry, zeros: oldGpuCode(entry.from, LEAST_ARCH) }
      : entry,
  ),
});

async function write(
  { variant, isSlim, partBytes, out }: BundleOptions,
  machine: string,
  staged: StagedRuntime,
  archives: readonly Archive[],
  say: (line: string) => void,
): Promise<Manifest> {
  const files = archives.flatMap(({ entries }) => entries.flatMap((entry) => ('from' in entry ? [entry.from] : [])));
  const { glibc = '2.28', libstdcxx = 'GLIBCXX_3.4' } = newestNeeds(files);
  const packed: Manifest['archives'] = [];
  for (const archive of archives) {
    const parts = await packArchive(archive, out, partBytes);
    const { name, packing, entries } = archive;
    packed.push({ name, packing, unpacked_bytes: sum(entries.map(sizeOf)), parts });
    say(`packed ${name}: ${megabytes(sum(parts.map(({ bytes }) => bytes)))} in ${parts.length} parts`);
  }
  const manifest: Manifest = {
    name: `moraine-${version()}-${variant}${isSlim ? '-slim' : ''}-${machine.toLowerCase()}`,
    version: version(),
    machine,
    variant,
    slim: isSlim,
    node: process.versions.node,
    tensorflow: staged.tensorflow,
    requires: { glibc, libstdcxx },
    unpacked_bytes: sum(packed.map((archive) => archive.unpacked_bytes)),
    packed_bytes: sum(packed.flatMap(({ parts }) => parts.map(({ bytes }) => bytes))),
    cuda: cudaContents(archives, isSlim),
    archives: packed,
  };
  writeAround(out, manifest);
  return manifest;
}

function cudaContents(archives: readonly Archive[], isSlim: boolean): CudaContents | null {
  const entries = archives.find(({ name }) => name === 'cuda')?.entries;
  if (entries === undefined) return null;
  const names = (start: RegExp): string[] =>
    entries.flatMap(({ name }) => (start.test(name) ? [path.basename(name)] : [])).sort();
  return {
    libraries: names(/\/nvidia\/.*\.so/),
    least_compute_capability: isSlim ? (LEAST_ARCH / 10).toFixed(1) : null,
    stubs: names(/^stubs\//),
  };
}

/** manifest.json, SHA256SUMS and install.sh: small, readable, and written last, so that a folder with install.sh is complete. */
export function writeAround(out: string, manifest: Manifest): void {
  writeFileSync(path.join(out, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  const hashOf = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');
  const parts = manifest.archives.flatMap((archive) => archive.parts);
  const lines = [
    ...parts.map(({ sha256, file }) => `${sha256}  ${file}\n`),
    `${hashOf(path.join(out, 'manifest.json'))}  manifest.json\n`,
  ];
  writeFileSync(path.join(out, 'SHA256SUMS'), lines.join(''));
  // File systems round up to blocks, and folders take some: five per cent more than the files.
  const kib = Math.ceil((manifest.unpacked_bytes * 1.05) / 1024);
  const values: Record<string, string> = {
    NAME: manifest.name,
    MACHINE: manifest.machine,
    GLIBC: manifest.requires.glibc,
    LIBSTDCXX: manifest.requires.libstdcxx,
    KIB: String(kib),
    SUMS: hashOf(path.join(out, 'SHA256SUMS')),
  };
  const script = template('install.sh').replace(/@([A-Z]+)@/g, (whole, name: string) => values[name] ?? whole);
  writeFileSync(path.join(out, 'install.sh'), script, { mode: 0o755 });
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);

const sizeOf = (entry: Entry): number =>
  'from' in entry ? statSync(entry.from).size : 'text' in entry ? entry.text.length : 0;

export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;

/** Whether this is a checkout; a bundle cannot make another one. */
export const isCheckout = (): boolean => existsSync(inRepo('package-lock.json'));
