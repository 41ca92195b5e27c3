import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { EngineError } from './error.js';

/** Where the npm package `@tensorflow/tfjs-node-gpu` is, seen from this package. */
export function runtimePackageDir(): string {
  try {
    const require = createRequire(import.meta.url);
    return path.dirname(require.resolve('@tensorflow/tfjs-node-gpu/package.json'));
  } catch (cause) {
    throw new EngineError(
      'runtime_missing',
      'The npm package @tensorflow/tfjs-node-gpu is not installed.',
      'Run `npm ci` in the repository (or `npm start`, which does it).',
      { cause },
    );
  }
}

/** Files that must exist, relative to the package, before TensorFlow can be loaded. */
export const runtimeFiles = {
  binding: 'lib/napi-v8/tfjs_binding.node',
  library: 'deps/lib/libtensorflow.so',
  framework: 'deps/lib/libtensorflow_framework.so',
} as const;

/** Keeps TensorFlow's first lines off the terminal (native/quiet_stderr.cc); nice to have, so not among `runtimeFiles`. */
export const quietFile = 'lib/napi-v8/moraine_quiet.node';

/** The npm package's version, part of every cache key of the compiled binding. */
export function runtimePackageVersion(packageDir: string): string {
  const parsed: unknown = JSON.parse(readFileSync(path.join(packageDir, 'package.json'), 'utf8'));
  const version = typeof parsed === 'object' && parsed !== null && 'version' in parsed ? parsed.version : undefined;
  return typeof version === 'string' ? version : 'unknown';
}

/** The first runtime file that is absent (a dangling link counts as absent), or null when all are there. */
export function missingRuntimeFile(packageDir: string): string | null {
  for (const file of Object.values(runtimeFiles)) {
    const full = path.join(packageDir, file);
    if (!existsSync(full)) return full;
  }
  return null;
}
