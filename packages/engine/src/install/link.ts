import { randomBytes } from 'node:crypto';
import { copyFileSync, readlinkSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { makeFolder } from '@moraine/contract/make-folder';
import { type LinkStamp, stampFile } from '../link-stamp.js';
import { quietFile, runtimeFiles } from '../runtime-package.js';
import type { Binding } from './compile.js';
import type { Library } from './library.js';

/**
 * Puts a compiled binding and links to the library into the npm package. Each name changes by one rename, so a process that loads at the
 * same time sees the old or the new file.
 * The libraries must be reached through deps/lib: TensorFlow looks for CUDA relative to the path that it was loaded by,
 * `deps/lib/../../nvidia`, hence the third link. Its list of folders lacks cuSOLVER's (seen by LD_DEBUG=libs: without it no GPU is
 * registered) but has `deps/lib/../tensorrt`, which holds nothing for us, hence the fourth.
 */
export function linkRuntime(packageDir: string, binding: Binding, library: Library, stamp: LinkStamp): void {
  const lib = path.join(packageDir, 'deps', 'lib');
  makeFolder(lib);
  makeFolder(path.dirname(path.join(packageDir, runtimeFiles.binding)));
  for (const name of ['libtensorflow.so', path.basename(library.library)]) link(library.library, path.join(lib, name));
  for (const name of ['libtensorflow_framework.so', path.basename(library.framework)]) {
    link(library.framework, path.join(lib, name));
  }
  link(library.include, path.join(packageDir, 'deps', 'include'));
  const nvidia = path.join(packageDir, 'nvidia');
  if (library.nvidia === undefined) rmSync(nvidia, { force: true, recursive: true });
  else link(library.nvidia, nvidia);
  const tensorrt = path.join(packageDir, 'deps', 'tensorrt');
  if (library.nvidia === undefined) rmSync(tensorrt, { force: true, recursive: true });
  else link(path.join(library.nvidia, 'cusolver', 'lib'), tensorrt);
  // A copy, not a link: Node resolves links before it loads, and the binding finds its libraries relative to itself.
  for (const [file, source] of [
    [quietFile, binding.quiet],
    [runtimeFiles.binding, binding.tensorflow],
  ] as const) {
    replace(path.join(packageDir, file), (aside) => copyFileSync(source, aside));
  }
  replace(stampFile(packageDir), (aside) => writeFileSync(aside, `${JSON.stringify(stamp, null, 2)}\n`));
}

function link(target: string, at: string): void {
  try {
    if (readlinkSync(at) === target) return;
  } catch {
    // Absent, or not a link: replaced below.
  }
  replace(at, (aside) => symlinkSync(target, aside));
}

function replace(file: string, make: (aside: string) => void): void {
  const aside = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`;
  try {
    make(aside);
    renameSync(aside, file);
  } finally {
    rmSync(aside, { force: true });
  }
}
