import { cpSync, mkdirSync, readdirSync, realpathSync, statSync } from 'node:fs';
import path from 'node:path';
import { steppingLibraries } from '../cuda.js';
import { EngineError } from '../error.js';
import type { LinkStamp } from '../link-stamp.js';
import type { Variant } from '../platform.js';
import { targetOf, thisPlatform } from '../platform.js';
import { runtimeFiles, runtimePackageDir } from '../runtime-package.js';
import { nativeKey } from './compile.js';
import { installRuntime } from './install-runtime.js';
import type { OnProgress } from './progress.js';
import { readWheelLock } from './unpack-wheels.js';

export interface StageOptions {
  variant: Variant;
  /** Only what a training step calls: without XLA's tools and without the CUDA libraries that are opened and not called. */
  isSlim: boolean;
  /** An existing empty folder; a copy of the npm package is made in it. */
  folder: string;
}

/** A file, or a link, of the runtime. */
export type StagedFile = { name: string } & ({ from: string } | { link: string });

/** A runtime for another machine of this kind: what belongs into the npm package `@tensorflow/tfjs-node-gpu` there. */
export interface StagedRuntime {
  tensorflow: string;
  /** TensorFlow and the compiled binding; names are relative to the npm package. */
  files: StagedFile[];
  /** CUDA's libraries and tools, in the same way. */
  cuda: StagedFile[];
  /** The stamp that belongs beside them. */
  stamp: LinkStamp;
}

const slimWheels = ['tensorflow', 'tensorflow-cpu', ...new Set(steppingLibraries.map(({ wheel }) => wheel))];

/**
 * Installs a runtime of either kind beside the one that is in use, from the cache where it can, and lists its files. The files stay where
 * they are, in the cache: nothing large is copied.
 */
export async function stageRuntime(
  { variant, isSlim, folder }: StageOptions,
  onProgress: OnProgress = () => {},
): Promise<StagedRuntime> {
  const packageDir = path.join(folder, 'package');
  mkdirSync(packageDir);
  for (const part of ['binding', 'package.json'])
    cpSync(path.join(runtimePackageDir(), part), path.join(packageDir, part), { recursive: true });
  const wheels = isSlim ? slimWheels : undefined;
  const { tensorflow, ...installed } = await installRuntime({ variant, packageDir, wheels }, onProgress);
  if (installed.variant === 'own')
    throw new EngineError(
      'runtime_unsupported_platform',
      'MORAINE_ENGINE_DIR is set, and only the locked TensorFlow can be carried to another machine.',
      'Unset it.',
    );
  const lib = (name: string): StagedFile => ({ name, from: realpathSync(path.join(packageDir, name)) });
  const libraries = readdirSync(path.join(packageDir, 'deps', 'lib')).map((name) => `deps/lib/${name}`);
  // Each library has two names there: the one with the version is the file, the other a link to it.
  const files = libraries.map((name) => {
    const real = path.basename(realpathSync(path.join(packageDir, name)));
    return real === path.basename(name) ? lib(name) : { name, link: real };
  });
  const bindings = readdirSync(path.join(packageDir, 'lib', 'napi-v8')).map((name) => lib(`lib/napi-v8/${name}`));
  return {
    tensorflow,
    files: [...files, ...bindings],
    cuda: variant === 'cuda' ? cudaFiles(path.join(packageDir, 'nvidia'), isSlim) : [],
    stamp: {
      variant,
      wish: variant,
      tensorflow,
      key: readWheelLock(`${targetOf(thisPlatform())}-${variant}`).key,
      native: nativeKey(),
      library: path.dirname(runtimeFiles.library).concat('/', libraryName(libraries)),
      bundle: isSlim ? 'slim' : 'full',
    },
  };
}

const libraryName = (names: readonly string[]): string =>
  path.basename(names.find((name) => /libtensorflow_cc\./.test(name)) ?? 'libtensorflow.so');

/** What of the wheels' `nvidia` folder is carried; the link lets TensorFlow find cuSOLVER (see link.ts). */
function cudaFiles(folder: string, isSlim: boolean): StagedFile[] {
  const real = realpathSync(folder);
  const wanted = new Set(steppingLibraries.map((library) => `${library.folder}/lib/${library.file}`));
  const files = readdirSync(real, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(path.join(real, name)).isFile() && !name.endsWith('.a'))
    .filter((name) => !isSlim || wanted.has(name))
    .sort()
    .map((name) => ({ name: `nvidia/${name}`, from: path.join(real, name) }));
  return isSlim ? files : [...files, { name: 'deps/tensorrt', link: '../nvidia/cusolver/lib' }];
}
