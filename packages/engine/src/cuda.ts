import { existsSync } from 'node:fs';
import path from 'node:path';

/** A shared library that TensorFlow 2.21 opens by name when it looks for a GPU, and the wheel that holds it. */
export interface CudaLibrary {
  file: string;
  /** Folder in `nvidia/` of the unpacked wheel. */
  folder: string;
  wheel: string;
}

/** The first seven are opened before a card is registered, the next two when they are used, the others by those. */
export const cudaLibraries: readonly CudaLibrary[] = [
  { file: 'libcudart.so.12', folder: 'cuda_runtime', wheel: 'nvidia-cuda-runtime-cu12' },
  { file: 'libcublas.so.12', folder: 'cublas', wheel: 'nvidia-cublas-cu12' },
  { file: 'libcublasLt.so.12', folder: 'cublas', wheel: 'nvidia-cublas-cu12' },
  { file: 'libcufft.so.11', folder: 'cufft', wheel: 'nvidia-cufft-cu12' },
  { file: 'libcusolver.so.11', folder: 'cusolver', wheel: 'nvidia-cusolver-cu12' },
  { file: 'libcusparse.so.12', folder: 'cusparse', wheel: 'nvidia-cusparse-cu12' },
  { file: 'libcudnn.so.9', folder: 'cudnn', wheel: 'nvidia-cudnn-cu12' },
  { file: 'libnccl.so.2', folder: 'nccl', wheel: 'nvidia-nccl-cu12' },
  { file: 'libcupti.so.12', folder: 'cuda_cupti', wheel: 'nvidia-cuda-cupti-cu12' },
  { file: 'libnvJitLink.so.12', folder: 'nvjitlink', wheel: 'nvidia-nvjitlink-cu12' },
  { file: 'libnvrtc.so.12', folder: 'cuda_nvrtc', wheel: 'nvidia-cuda-nvrtc-cu12' },
];

export interface CudaParts {
  /** Libraries that are in none of the places that are searched. */
  missing: CudaLibrary[];
  /** XLA's assembler, undefined when it is nowhere. */
  ptxas: string | undefined;
  /** XLA's library of mathematical functions, undefined when it is nowhere. */
  libdevice: string | undefined;
}

/** Folder of the nvcc wheel below the npm package: what XLA calls CUDA's data directory. */
export const cudaDataDir = (packageDir: string): string => path.join(packageDir, 'nvidia', 'cuda_nvcc');

/** Looks for everything that computing on a GPU needs: below the package's `nvidia` link, then in `folders` and on `programs`. */
export function findCudaParts(
  packageDir: string,
  folders: readonly string[] = [],
  programs: readonly string[] = [],
): CudaParts {
  const firstOf = (files: string[]): string | undefined => files.find((file) => existsSync(file));
  const isThere = ({ folder, file }: CudaLibrary): boolean =>
    firstOf([path.join(packageDir, 'nvidia', folder, 'lib', file), ...folders.map((dir) => path.join(dir, file))]) !==
    undefined;
  const data = cudaDataDir(packageDir);
  return {
    missing: cudaLibraries.filter((library) => !isThere(library)),
    ptxas: firstOf([path.join(data, 'bin', 'ptxas'), ...programs.map((dir) => path.join(dir, 'ptxas'))]),
    libdevice: firstOf([data, '/usr/local/cuda'].map((dir) => path.join(dir, 'nvvm', 'libdevice', 'libdevice.10.bc'))),
  };
}

/** Without these TensorFlow registers no card. */
export const registeringLibraries = cudaLibraries.slice(0, 7);

/** Of these a training step calls functions; the others are opened and not called. */
export const steppingLibraries = cudaLibraries.slice(0, 3);

/** Files that may be empty where nothing but a training step computes. */
export const cudaStubs: readonly string[] = registeringLibraries
  .filter((library) => !steppingLibraries.includes(library))
  .map(({ file }) => file);

/** What to do where a slim bundle leaves libraries to the machine. */
export const slimHint =
  'A slim bundle leaves them to the machine: name the folders of its CUDA 12 libraries in LD_LIBRARY_PATH (for example /usr/local/cuda/lib64, or those of the nvidia wheels beside PyTorch), or bring a bundle made without --slim.';

/** Where the dynamic loader looks by itself. */
const systemFolders = ['/usr/lib/x86_64-linux-gnu', '/usr/lib64', '/usr/lib', '/lib64'];

/** Libraries that keep TensorFlow from the GPU; a slim bundle needs only those that register a card. */
export function missingLibraries(
  packageDir: string,
  folders: readonly string[],
  bundle: 'full' | 'slim' | undefined,
): CudaLibrary[] {
  const { missing } = findCudaParts(packageDir, [...folders, ...systemFolders]);
  return bundle === 'slim' ? missing.filter((library) => registeringLibraries.includes(library)) : missing;
}

/** What CUDA_VISIBLE_DEVICES says: every card, none, or these (numbers, or identifiers such as `GPU-6c1f…`). */
export type VisibleCards = 'all' | 'none' | readonly string[];

/** CUDA's rule: unset is every card; the list ends at the first entry that is no card, so `-1` or an empty text hides all. */
export function visibleCards(value: string | undefined): VisibleCards {
  if (value === undefined) return 'all';
  const cards: string[] = [];
  for (const entry of value.split(',').map((text) => text.trim())) {
    if (!/^(\d+|(GPU|MIG)-\S+)$/.test(entry)) break;
    cards.push(entry);
  }
  return cards.length === 0 ? 'none' : cards;
}

/** XLA_FLAGS with CUDA's data directory, unless the user's flags name one; null when there is nothing to add. */
export function withDataDir(flags: string | undefined, dataDir: string): string | null {
  if (flags?.includes('--xla_gpu_cuda_data_dir')) return null;
  // XLA splits at white space outside of quotation marks behind the equals sign. A name of a file of flags has no dash.
  if (flags !== undefined && flags.trim() !== '' && !flags.trim().startsWith('-')) return null;
  const flag = `--xla_gpu_cuda_data_dir=${/\s/.test(dataDir) ? `"${dataDir}"` : dataDir}`;
  return flags === undefined || flags.trim() === '' ? flag : `${flags} ${flag}`;
}

/**
 * Variables that TensorFlow and CUDA read when they are loaded, for a machine with a driver: only those that the user did not set, and
 * PATH and XLA_FLAGS with ours added behind theirs.
 */
export function cudaEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  packageDir: string,
  cache: string,
): Record<string, string> {
  const add: Record<string, string> = {};
  const byDefault = (name: string, value: string): void => {
    if (env[name] === undefined) add[name] = value;
  };
  // A worker takes its card's memory as it needs it, so that two processes can share a card.
  byDefault('TF_FORCE_GPU_ALLOW_GROWTH', 'true');
  // One process computes on one card; TensorFlow would also take some memory of every other one.
  byDefault('CUDA_VISIBLE_DEVICES', '0');
  // The numbers of nvidia-smi and of the driver's text files; CUDA's own default sorts by speed.
  byDefault('CUDA_DEVICE_ORDER', 'PCI_BUS_ID');
  // Hopper and later compile the wheel's PTX at first use; kept here, and with room for all of it (CUDA's default is 1 GiB).
  byDefault('CUDA_CACHE_PATH', path.join(cache, 'cuda-kernels'));
  byDefault('CUDA_CACHE_MAXSIZE', String(4 * 1024 ** 3 - 1));
  const data = cudaDataDir(packageDir);
  if (!existsSync(data)) return add;
  const flags = withDataDir(env.XLA_FLAGS, data);
  if (flags !== null) add.XLA_FLAGS = flags;
  const programs = path.join(data, 'bin');
  const search = env.PATH ?? '';
  if (!search.split(path.delimiter).includes(programs)) {
    add.PATH = search === '' ? programs : `${search}${path.delimiter}${programs}`;
  }
  return add;
}

/** A card as the driver's text files describe it. */
export interface Card {
  /** For example `NVIDIA H100 80GB HBM3`. */
  name: string;
  /** For example `GPU-6c1f…`, undefined where the file does not say. */
  uuid: string | undefined;
}

/**
 * The card that computes: the first visible one. Cards are in the order of the PCI bus; where `isByBus` is false (CUDA sorts by speed)
 * a number names a card only if all are of one kind.
 */
export function firstVisibleCard(cards: readonly Card[], visible: VisibleCards, isByBus = true): Card | undefined {
  if (visible === 'none') return undefined;
  const first = visible === 'all' ? '0' : (visible[0] ?? '0');
  const areAlike = new Set(cards.map(({ name }) => name)).size === 1;
  if (/^\d+$/.test(first)) return isByBus || areAlike ? cards[Number(first)] : undefined;
  return cards.find(({ uuid }) => uuid?.startsWith(first)) ?? (areAlike ? cards[0] : undefined);
}
