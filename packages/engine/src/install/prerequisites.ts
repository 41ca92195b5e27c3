import { existsSync } from 'node:fs';
import path from 'node:path';
import { searchPath } from '../env.js';
import { EngineError } from '../error.js';
import { compareVersions } from '../platform.js';
import { runCommand } from './run-command.js';

export interface Python {
  program: string;
  version: string;
  /** Version of its pip, or undefined when it has none. */
  pip: string | undefined;
}

export interface Compiler {
  program: string;
  /** First line of `--version`, part of the cache key of what it makes. */
  version: string;
}

/** Path of a program on PATH, or undefined. */
export function findProgram(name: string): string | undefined {
  return searchPath()
    .map((dir) => path.join(dir, name))
    .find((file) => existsSync(file));
}

/** The command that installs system packages here. Names are those of Debian; other systems' names are translated. */
export function installCommand(packages: ('python3' | 'python3-pip' | 'g++')[]): string {
  const wanted = [...new Set(packages)];
  if (process.platform === 'darwin') {
    const brew = wanted.some((p) => p !== 'g++') ? ['brew install python'] : [];
    return [...brew, ...(wanted.includes('g++') ? ['xcode-select --install'] : [])].join(' && ');
  }
  const sudo = process.getuid?.() === 0 ? '' : 'sudo ';
  if (findProgram('apt-get') === undefined && findProgram('dnf') !== undefined) {
    return `${sudo}dnf install -y ${wanted.map((p) => (p === 'g++' ? 'gcc-c++' : p)).join(' ')}`;
  }
  return `${sudo}apt-get install -y ${wanted.join(' ')}`;
}

/** The first Python on PATH, with its pip; null when there is none. Starts a process, about 0.5 s. */
export async function findPython(): Promise<Python | null> {
  const program = ['python3', 'python'].map(findProgram).find((program) => program !== undefined);
  if (program === undefined) return null;
  const version = await runCommand(program, ['-c', 'import platform; print(platform.python_version())']);
  if (version.status !== 0) return null;
  const pip = await runCommand(program, ['-m', 'pip', '--version']);
  return {
    program,
    version: version.stdout.trim(),
    pip: pip.status === 0 ? /pip (\S+)/.exec(pip.stdout)?.[1] : undefined,
  };
}

/** A C++ compiler: g++, else clang++, else c++; null when there is none. */
export async function findCompiler(): Promise<Compiler | null> {
  for (const name of ['g++', 'clang++', 'c++']) {
    const program = findProgram(name);
    if (program === undefined) continue;
    const { status, stdout } = await runCommand(program, ['--version']);
    // macOS has a placeholder g++ that only asks for the command line tools to be installed.
    if (status === 0) return { program, version: stdout.split('\n')[0] ?? name };
  }
  return null;
}

/** @throws EngineError `runtime_prerequisite_missing` with the command that installs what is missing. */
export async function requirePip(): Promise<Python & { pip: string }> {
  const python = await findPython();
  if (python === null) {
    throw new EngineError(
      'runtime_prerequisite_missing',
      'Moraine fetches its engine with pip, and python3 was not found.',
      `Run: ${installCommand(['python3', 'python3-pip'])}. Or set MORAINE_ENGINE_DIR to an unpacked TensorFlow.`,
    );
  }
  const { pip } = python;
  if (pip === undefined || compareVersions(pip, '20.3') < 0) {
    throw new EngineError(
      'runtime_prerequisite_missing',
      pip === undefined
        ? `python3 was found at ${python.program}, but it has no pip.`
        : `pip ${pip} (of ${python.program}) is too old; 20.3 or newer is needed.`,
      `Run: ${installCommand(['python3-pip'])}`,
    );
  }
  return { ...python, pip };
}

/** @throws EngineError `runtime_prerequisite_missing` with the command that installs a compiler. */
export async function requireCompiler(): Promise<Compiler> {
  const compiler = await findCompiler();
  if (compiler !== null) return compiler;
  throw new EngineError(
    'runtime_prerequisite_missing',
    'A C++17 compiler is needed once (8 s) and none was found.',
    `Run: ${installCommand(['g++'])}. The API and dashboard run without it.`,
  );
}
