import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { libraryPath } from './env.js';
import { EngineError } from './error.js';

/** `linux-x64`, `linux-arm64` and `darwin-arm64` have a runtime. */
export type Target = 'linux-x64' | 'linux-arm64' | 'darwin-arm64';
export type Variant = 'cpu' | 'cuda';

export interface Platform {
  os: string;
  arch: string;
  /** Version of the GNU C library, or undefined on musl and on other systems. */
  glibc: string | undefined;
}

export function thisPlatform(): Platform {
  return { os: process.platform, arch: process.arch, glibc: process.platform === 'linux' ? glibcVersion() : undefined };
}

function glibcVersion(): string | undefined {
  // Without this the report looks up names of network peers, which can take seconds.
  Object.assign(process.report, { excludeNetwork: true });
  const report: unknown = process.report.getReport();
  const header = typeof report === 'object' && report !== null && 'header' in report ? report.header : undefined;
  if (typeof header !== 'object' || header === null || !('glibcVersionRuntime' in header)) return undefined;
  return String(header.glibcVersionRuntime);
}

/**
 * Which wheels fit this machine.
 * @throws EngineError `runtime_unsupported_platform` that names the platform and the supported ones.
 */
export function targetOf({ os, arch, glibc }: Platform): Target {
  const name = `${os}-${arch}`;
  const hint =
    'Supported are Linux x64 and arm64 with glibc 2.28 or newer (Debian 10, Ubuntu 18.10, RHEL 8 and later) and macOS on Apple silicon. ' +
    'On this machine the API and dashboard still run; point DATABASE_URL and REDIS_URL at servers elsewhere and run the worker on a supported machine or from docker-compose.yml.';
  if (name !== 'linux-x64' && name !== 'linux-arm64' && name !== 'darwin-arm64') {
    throw new EngineError('runtime_unsupported_platform', `There is no TensorFlow 2.21 for ${name}.`, hint);
  }
  if (os === 'linux' && (glibc === undefined || compareVersions(glibc, '2.28') < 0)) {
    const library = glibc === undefined ? 'another C library (musl?)' : `glibc ${glibc}`;
    throw new EngineError(
      'runtime_unsupported_platform',
      `There is no TensorFlow 2.21 for ${name} with ${library}.`,
      hint,
    );
  }
  return name;
}

/** -1, 0 or 1, number by number: 2.9 is older than 2.28. */
export function compareVersions(a: string, b: string): number {
  const [x, y] = [a.split('.').map(Number), b.split('.').map(Number)];
  for (let i = 0; i < Math.max(x.length, y.length); i++) {
    const difference = (x[i] ?? 0) - (y[i] ?? 0);
    if (difference !== 0) return Math.sign(difference);
  }
  return 0;
}

export interface NvidiaDriver {
  /** For example `570.124.06`, undefined where only the library was found. */
  version: string | undefined;
  /** Path of libcuda.so.1, undefined where only the kernel module was found. */
  library: string | undefined;
  /** Path of libnvidia-ml.so.1, without which TensorFlow registers no card; some containers have the other library alone. */
  management: string | undefined;
}

/** Where Linux distributions, WSL and NVIDIA's containers put the driver's library. */
const driverFolders = [
  '/usr/lib/x86_64-linux-gnu',
  '/usr/lib/x86_64-linux-gnu/nvidia/current',
  '/usr/lib64',
  '/usr/lib64/nvidia',
  '/usr/lib',
  '/usr/lib/wsl/lib',
  '/usr/local/nvidia/lib64',
  '/usr/local/cuda/compat',
  '/run/opengl-driver/lib',
];

/** Looks for an NVIDIA driver by its files alone, or null. Nothing is loaded and no program is run. */
export function findNvidiaDriver(
  folders: readonly string[] = [...libraryPath(), ...driverFolders],
  procFolder = '/proc/driver/nvidia',
): NvidiaDriver | null {
  const folder = folders.find((dir) => existsSync(path.join(dir, 'libcuda.so.1')));
  const library = folder === undefined ? undefined : path.join(folder, 'libcuda.so.1');
  const management = folders.map((dir) => path.join(dir, 'libnvidia-ml.so.1')).find((file) => existsSync(file));
  const versionFile = path.join(procFolder, 'version');
  const hasModule = existsSync(versionFile);
  if (library === undefined && !hasModule) return null;
  const fromModule = hasModule ? /\s(\d+\.\d+(?:\.\d+)?)\s/.exec(readFileSync(versionFile, 'utf8'))?.[1] : undefined;
  return { version: fromModule ?? (folder === undefined ? undefined : versionFromName(folder)), library, management };
}

/** Which part of the driver this container or system lacks, with what to do; undefined when both libraries are there. */
export function missingDriverPart({
  library,
  management,
}: Pick<NvidiaDriver, 'library' | 'management'>): string | undefined {
  const remedy = 'install the driver’s user-space package.';
  if (library === undefined) return `libcuda.so.1 was not found: start the container with \`--gpus all\`, or ${remedy}`;
  if (management !== undefined) return undefined;
  return `libnvidia-ml.so.1 was not found: start the container with NVIDIA_DRIVER_CAPABILITIES=compute,utility, or ${remedy}`;
}

/** The driver's version is also in the name of the file that libcuda.so.1 links to: libcuda.so.570.124.06. */
function versionFromName(folder: string): string | undefined {
  for (const name of readdirSync(folder)) {
    const version = /^libcuda\.so\.(\d+\.\d[\d.]*)$/.exec(name)?.[1];
    if (version !== undefined) return version;
  }
  return undefined;
}

/** CUDA wheels exist for Linux x64 only; `auto` takes them when a driver is present. */
export function chooseVariant(target: Target, wish: 'auto' | Variant, driver: NvidiaDriver | null): Variant {
  if (wish === 'cuda' && target !== 'linux-x64') {
    throw new EngineError(
      'runtime_unsupported_platform',
      `CUDA was asked for, but TensorFlow 2.21 has CUDA only for linux-x64, not for ${target}.`,
      'Leave out --cuda to compute on the CPU.',
    );
  }
  if (wish !== 'auto') return wish;
  return target === 'linux-x64' && driver !== null ? 'cuda' : 'cpu';
}
