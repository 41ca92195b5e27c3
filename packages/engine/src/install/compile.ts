import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeFolder } from '@moraine/contract/make-folder';
import { EngineError } from '../error.js';
import { withFileLock } from './file-lock.js';
import type { Library } from './library.js';
import { type Compiler, requireCompiler } from './prerequisites.js';
import type { OnProgress } from './progress.js';
import { runCommand } from './run-command.js';

export interface CompileOptions {
  packageDir: string;
  library: Library;
  /** Identifies the library: equal keys may share a binding. */
  libraryKey: string;
  cache: string;
  force: boolean;
  onProgress: OnProgress;
}

export interface Binding {
  /** tfjs_binding.node in the cache. */
  tensorflow: string;
  /** Our own few lines beside it, see native/quiet_stderr.cc. */
  quiet: string;
}

const sources = ['tfjs_backend.cc', 'tfjs_binding.cc'];
const nativeDir = fileURLToPath(new URL('../../native/', import.meta.url));
const defines = [
  '-DNAPI_VERSION=8',
  '-DNODE_GYP_MODULE_NAME=tfjs_binding',
  '-DBUILDING_NODE_EXTENSION',
  '-DTF_NewSessionOptions=moraine_session_options', // see native/session_options.cc
  // see native/load_ahead.cc
  '-DTF_NewGraph=moraine_new_graph',
  '-DTF_LoadSessionFromSavedModel=moraine_load_session',
  '-Dnapi_define_properties=moraine_define_properties',
];
/** Ours that are compiled into the package's binding. */
const ours = ['session_options.cc', 'load_ahead.cc'];

/** Identifies our part of the binding: a stamp with another one means that it must be compiled again. */
export function nativeKey(): string {
  const hash = createHash('sha256').update(defines.join(' '));
  for (const name of readdirSync(nativeDir).sort())
    hash.update(`${name}\n`).update(readFileSync(path.join(nativeDir, name)));
  return hash.digest('hex').slice(0, 16);
}

/**
 * The npm package's own N-API binding and a few lines of ours, compiled against the given TensorFlow: one compiler call, 8 s, no Node headers, no make.
 * Cached by everything that goes in: the package's sources, node-api-headers, the library, the compiler's version and the flags.
 */
export async function compileBinding(options: CompileOptions): Promise<Binding> {
  const { packageDir, cache, force, onProgress } = options;
  const bindingDir = path.join(packageDir, 'binding');
  const headers = nodeApiHeaders();
  const hash = createHash('sha256').update(
    `${options.libraryKey}\n${process.platform} ${process.arch}\n${defines.join(' ')}\n`,
  );
  for (const dir of [bindingDir, headers, nativeDir]) {
    for (const name of readdirSync(dir).sort()) hash.update(`${name}\n`).update(readFileSync(path.join(dir, name)));
  }
  // The compiler is asked for only when the cache has nothing: a machine may lose its compiler after the first installation.
  const base = hash.digest('hex').slice(0, 16);
  const folder = path.join(cache, 'bindings', base);
  const binding: Binding = {
    tensorflow: path.join(folder, 'tfjs_binding.node'),
    quiet: path.join(folder, 'moraine_quiet.node'),
  };
  const isCached = (): boolean => !force && existsSync(binding.tensorflow) && existsSync(binding.quiet);
  if (isCached()) return binding;
  return withFileLock(
    path.join(cache, 'locks', `binding-${base}.lock`),
    async () => {
      if (isCached()) return binding;
      const compiler = await requireCompiler();
      makeFolder(folder);
      onProgress({ phase: 'compile', detail: `the binding with ${compiler.version}` });
      const { library, framework, include } = options.library;
      const from = [
        ...sources.map((name) => path.join(bindingDir, name)),
        ...ours.map((name) => path.join(nativeDir, name)),
      ];
      await compile(compiler, headers, [path.join(nativeDir, 'quiet_stderr.cc')], binding.quiet);
      await compile(compiler, headers, [...from, '-I', include, library, framework], binding.tensorflow);
      return binding;
    },
    (pid) => onProgress({ phase: 'wait', detail: `process ${pid} is compiling the same binding` }),
  );
}

/** One compiler call into a temporary file, then a rename. `inputs` are sources, libraries and include folders. */
async function compile(compiler: Compiler, headers: string, inputs: string[], out: string): Promise<void> {
  // Found at run time through the links in deps/lib, relative to the binding, so neither the cache nor the repo has a fixed place.
  const link =
    process.platform === 'darwin'
      ? ['-bundle', '-undefined', 'dynamic_lookup', '-Wl,-rpath,@loader_path/../../deps/lib']
      : ['-shared', '-Wl,-rpath,$ORIGIN/../../deps/lib'];
  const part = `${out}.${process.pid}.part`;
  const args = ['-std=c++17', '-O2', '-fPIC', ...defines, '-I', headers, ...inputs, ...link, '-o', part];
  const { status, stderr, stdout } = await runCommand(compiler.program, args);
  if (status === 0) return renameSync(part, out);
  rmSync(part, { force: true });
  const said = `${stderr}\n${stdout}`.trim().split('\n').slice(0, 12).join('\n');
  throw new EngineError(
    'runtime_compile_failed',
    `${compiler.program} (${compiler.version}) could not compile the TensorFlow binding:\n${said}`,
    'A compiler with C++17 is needed (g++ 8 or clang 7 and later) and about 1 GiB of free memory.',
  );
}

function nodeApiHeaders(): string {
  try {
    return path.join(path.dirname(createRequire(import.meta.url).resolve('node-api-headers/package.json')), 'include');
  } catch (cause) {
    throw new EngineError('runtime_missing', 'The npm package node-api-headers is not installed.', 'Run `npm ci`.', {
      cause,
    });
  }
}
