import { existsSync, realpathSync, statSync } from 'node:fs';
import path from 'node:path';
import { EngineError } from '../error.js';

/** The TensorFlow C library on disk. */
export interface Library {
  /** Folder that holds `nvidia/` beside it when the CUDA wheels were unpacked, else undefined. */
  nvidia: string | undefined;
  include: string;
  library: string;
  framework: string;
}

const fileNames =
  process.platform === 'darwin'
    ? { library: 'libtensorflow_cc.2.dylib', framework: 'libtensorflow_framework.2.dylib' }
    : { library: 'libtensorflow_cc.so.2', framework: 'libtensorflow_framework.so.2' };

/** Which files of TensorFlow's and NVIDIA's wheels are needed: libraries, the C headers, and what XLA's compiler starts. */
export function isRuntimeFile(name: string): boolean {
  if (name.startsWith('tensorflow/')) {
    const inside = name.slice('tensorflow/'.length);
    return (
      inside === fileNames.library ||
      inside === fileNames.framework ||
      /^include\/(tensorflow\/c|tensorflow\/core\/platform|tensorflow\/tsl|xla\/tsl\/c|tsl)\//.test(inside)
    );
  }
  return /^nvidia\/[^/]+\/lib\/[^/]+$/.test(name) || /^nvidia\/cuda_nvcc\/(bin|nvvm)\//.test(name);
}

/**
 * Finds the library in a folder: an unpacked wheel, or what a user named with MORAINE_ENGINE_DIR (the folder itself or its
 * `tensorflow`, with the files in it or in `lib`).
 */
export function findLibrary(root: string): Library {
  for (const base of [path.join(root, 'tensorflow'), root]) {
    for (const folder of [base, path.join(base, 'lib')]) {
      const library = path.join(folder, fileNames.library);
      const framework = path.join(folder, fileNames.framework);
      const include = path.join(base, 'include');
      if (!existsSync(library) || !existsSync(framework)) continue;
      if (!existsSync(path.join(include, 'tensorflow', 'c', 'c_api.h'))) continue;
      const nvidia = [path.join(root, 'nvidia'), path.join(root, '..', 'nvidia')].find((dir) => existsSync(dir));
      return { nvidia, include, library, framework };
    }
  }
  throw new EngineError(
    'runtime_missing',
    `${root} holds no TensorFlow: ${fileNames.library}, ${fileNames.framework} and include/tensorflow/c/c_api.h are needed.`,
    'Point MORAINE_ENGINE_DIR at the `tensorflow` folder of an unpacked TensorFlow 2.21 wheel, or unset it.',
  );
}

/** Changes when the library on disk does. */
export function libraryKey({ library }: Library): string {
  const { size, mtimeMs } = statSync(library);
  return `${realpathSync(library)} ${size} ${Math.floor(mtimeMs)}`;
}
