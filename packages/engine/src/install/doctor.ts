import { existsSync, statfsSync } from 'node:fs';
import { availableParallelism, cpus, freemem, totalmem } from 'node:os';
import { makeFolder } from '@moraine/contract/make-folder';
import { type CudaParts, findCudaParts, missingLibraries, slimHint, visibleCards } from '../cuda.js';
import { cacheDir, libraryPath, searchPath, visibleDevices } from '../env.js';
import { EngineError } from '../error.js';
import { readLinkStamp, repairHint } from '../link-stamp.js';
import type { Device } from '../load.js';
import { nvidiaCards, nvidiaName } from '../nvidia-cards.js';
import {
  compareVersions,
  findNvidiaDriver,
  missingDriverPart,
  type NvidiaDriver,
  targetOf,
  thisPlatform,
} from '../platform.js';
import { runtimePackageDir } from '../runtime-package.js';
import { type RuntimeStatus, runtimeStatus } from './install-runtime.js';
import { type Compiler, findCompiler, findPython, installCommand, type Python } from './prerequisites.js';
import { runCommand } from './run-command.js';

export interface DoctorProblem {
  what: string;
  fix: string;
}

export interface DoctorReport {
  node: string;
  /** For example `linux-x64, glibc 2.36`. */
  platform: string;
  runtime: RuntimeStatus | null;
  /** Version that was really loaded, null when it did not load. */
  tensorflow: string | null;
  device: Device | null;
  nvidia: NvidiaReport | null;
  processor: string;
  cores: number;
  memoryBytes: number;
  memoryFreeBytes: number;
  cache: string;
  diskFreeBytes: number;
  python: Python | null;
  compiler: Compiler | null;
  /** Empty when everything that is needed is there. */
  problems: DoctorProblem[];
}

export interface NvidiaReport extends NvidiaDriver {
  /** Name of the card that computes. */
  device: string | undefined;
  /** Names of all cards, in the order of the PCI bus. */
  cards: string[];
  /** CUDA_VISIBLE_DEVICES, undefined where it is not set. */
  visible: string | undefined;
  /** CUDA's libraries and XLA's tools; null where TensorFlow for the CPU is linked. */
  cuda: CudaParts | null;
  /** What a bundle brought; absent in a checkout. A slim one has no XLA and leaves some libraries to the machine. */
  bundle?: 'full' | 'slim';
}

const nodeMin = '20.19.0';
const loadUrl = new URL('../load.js', import.meta.url).href;

/** Looks at the machine and loads TensorFlow in a process of its own, so that even a crash becomes a line of the report. */
export async function doctor(): Promise<DoctorReport> {
  const problems: DoctorProblem[] = [];
  const platform = thisPlatform();
  const runtime = findRuntime(problems);
  const driver = findNvidiaDriver();
  const [python, compiler, probe] = await Promise.all([
    findPython(),
    findCompiler(),
    runtime?.isInstalled === true ? probeTensorflow() : null,
  ]);
  if (compareVersions(process.versions.node, nodeMin) < 0) {
    problems.push({
      what: `Node ${process.versions.node} is too old.`,
      fix: `Install Node ${nodeMin} or newer; 24 is recommended.`,
    });
  }
  if (probe !== null && 'what' in probe) problems.push(probe);
  const device = probe !== null && 'kind' in probe ? probe : null;
  // pip and a compiler are needed to install, not to run; a bundle brings what they would make.
  if (device === null && runtime !== null && bundleHere() === undefined)
    problems.push(...missingTools(python, compiler));
  const nvidia = driver === null ? null : nvidiaReport(runtime, driver);
  if (nvidia !== null) problems.push(...gpuProblems(runtime, nvidia, device));
  const cache = cacheDir();
  makeFolder(cache);
  const { bavail, bsize } = statfsSync(cache);
  return {
    node: process.versions.node,
    platform: `${platform.os}-${platform.arch}${platform.glibc === undefined ? '' : `, glibc ${platform.glibc}`}`,
    runtime,
    tensorflow: device?.tensorflow ?? null,
    device,
    nvidia,
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    memoryFreeBytes: freemem(),
    cache,
    diskFreeBytes: bavail * bsize,
    python,
    compiler,
    problems,
  };
}

const bundleHere = (): 'full' | 'slim' | undefined => readLinkStamp(runtimePackageDir())?.bundle;

const repair = (otherwise: string): string => repairHint(runtimePackageDir(), otherwise);

function findRuntime(problems: DoctorProblem[]): RuntimeStatus | null {
  try {
    targetOf(thisPlatform());
    const status = runtimeStatus();
    if (!status.isInstalled) {
      problems.push({
        what: `The TensorFlow runtime is not installed: ${status.reason}.`,
        fix: repair('Run `npm run setup`.'),
      });
    }
    return status;
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    problems.push({ what: error.message, fix: error.hint });
    return null;
  }
}

function missingTools(python: Python | null, compiler: Compiler | null): DoctorProblem[] {
  const problems: DoctorProblem[] = [];
  if (python === null) {
    problems.push({ what: 'python3 was not found.', fix: `Run: ${installCommand(['python3', 'python3-pip'])}` });
  } else if (python.pip === undefined) {
    problems.push({ what: `${python.program} has no pip.`, fix: `Run: ${installCommand(['python3-pip'])}` });
  }
  if (compiler === null) problems.push({ what: 'No C++ compiler was found.', fix: `Run: ${installCommand(['g++'])}` });
  return problems;
}

function nvidiaReport(runtime: RuntimeStatus | null, driver: NvidiaDriver): NvidiaReport {
  const hasCuda = runtime?.isInstalled === true && runtime.variant !== 'cpu';
  const bundle = bundleHere();
  return {
    ...driver,
    device: nvidiaName(),
    cards: nvidiaCards().map(({ name }) => name),
    visible: visibleDevices(),
    cuda: hasCuda
      ? {
          ...findCudaParts(runtimePackageDir(), libraryPath(), searchPath()),
          missing: missingLibraries(runtimePackageDir(), libraryPath(), bundle),
        }
      : null,
    ...(bundle === undefined ? {} : { bundle }),
  };
}

/** What keeps a machine with an NVIDIA driver from computing on it. Cards that the user hides are no problem. */
export function gpuProblems(
  runtime: Pick<RuntimeStatus, 'variant'> | null,
  { version, library, management, cuda, visible, bundle }: NvidiaReport,
  device: Pick<Device, 'kind'> | null,
): DoctorProblem[] {
  if (visibleCards(visible) === 'none') return [];
  const problems: DoctorProblem[] = [];
  const setup = 'Run `npm run setup -- --cuda --force`.';
  const again =
    bundle === 'slim' ? slimHint : bundle === undefined ? setup : 'Run `sh install.sh` of the bundle again.';
  for (const { file, wheel } of cuda?.missing ?? []) {
    problems.push({ what: `CUDA's ${file} was not found; the wheel ${wheel} holds it.`, fix: again });
  }
  for (const tool of ['ptxas', 'libdevice'] as const) {
    if (cuda === null || cuda[tool] !== undefined || bundle === 'slim') continue;
    problems.push({ what: `XLA's ${tool} was not found; the wheel nvidia-cuda-nvcc-cu12 holds it.`, fix: again });
  }
  if (device?.kind === 'gpu' || problems.length > 0) return problems;
  const driver = `An NVIDIA driver${version === undefined ? '' : ` ${version}`} is here`;
  if (runtime?.variant === 'cpu') {
    const fix = bundle === undefined ? 'Run `npm run setup -- --cuda`.' : 'Bring a bundle made with --cuda.';
    return [{ what: `${driver}, but TensorFlow for the CPU is linked.`, fix }];
  }
  // A TensorFlow that does not load at all is reported elsewhere.
  if (device === null) return [];
  const fix =
    missingDriverPart({ library, management }) ??
    'Look at the output of nvidia-smi, and at CUDA_VISIBLE_DEVICES; the driver must be 525.60 or newer for CUDA 12.';
  return [{ what: `${driver}, but TensorFlow sees no GPU.`, fix }];
}

/** Loads and computes in a child: 1.5 s. A crash, a signal or two silent minutes become a problem. */
async function probeTensorflow(): Promise<Device | DoctorProblem> {
  const script = `
    const { loadTf, device } = await import(${JSON.stringify(loadUrl)});
    const tf = loadTf();
    const product = tf.tidy(() => tf.matMul([[1, 2]], [[3], [4]]).dataSync()[0]);
    if (product !== 11) throw new Error('1*3 + 2*4 came out as ' + product);
    console.log('DEVICE ' + JSON.stringify(device()));`;
  const args = ['--no-deprecation', '--input-type=module', '-e', script];
  const { status, stdout, stderr } = await runCommand(process.execPath, args, {
    env: { TF_CPP_MIN_LOG_LEVEL: '1' },
    timeoutMs: 120_000,
  });
  const line = /^DEVICE (.*)$/m.exec(stdout)?.[1];
  if (status === 0 && line !== undefined) return JSON.parse(line) as Device;
  const said = stderr.trim().split('\n').slice(-8).join('\n');
  return {
    what: `TensorFlow is installed but did not compute (status ${status}):\n${said}`,
    fix: existsSync('/proc/cpuinfo')
      ? `${repair('Run `npm run setup -- --force`.')} TensorFlow needs a processor with AVX; look for "Illegal instruction" above.`
      : repair('Run `npm run setup -- --force`.'),
  };
}
