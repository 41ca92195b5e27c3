import { execFile } from 'node:child_process';
import { access } from 'node:fs/promises';
import { promisify } from 'node:util';
import { AppError } from '@moraine/contract';

export interface SandboxTools {
  bwrap: string;
  /** The interpreter itself, not a link to it. */
  python: string;
  /** Folders of its standard library and of the machine's shared libraries. */
  libraries: string[];
}

/** Where programs are looked for: not in the caller's PATH, which may name folders that the sandbox's user cannot read. */
export const SANDBOX_PATH = '/usr/bin:/bin:/usr/local/bin';
const SYSTEM_LIBRARIES = ['/usr/lib', '/usr/lib64', '/lib', '/lib64', '/usr/local/lib'];

const INSTALL_HINT = 'Install it (apt-get install bubblewrap python3) or leave out evaluators that run code.';

/** The sandbox's parts on this machine. @throws AppError `runtime_missing` naming the part and how to install it. */
export async function findTools(folders = SANDBOX_PATH): Promise<SandboxTools> {
  const find = async (name: string, what: string): Promise<string> => {
    const found = await findProgram(name, folders);
    if (found === null) throw missing(what, folders);
    return found;
  };
  const bwrap = await find('bwrap', 'bubblewrap (bwrap)');
  const python = await find('python3', 'python3');
  const ask = 'import os, sys; print(os.path.realpath(sys.executable)); print(sys.base_prefix)';
  const { stdout } = await promisify(execFile)(python, ['-I', '-c', ask]);
  const [program = python, prefix = '/usr'] = stdout.trim().split('\n');
  return { bwrap, python: program, libraries: [...new Set([...SYSTEM_LIBRARIES, `${prefix}/lib`])] };
}

const missing = (what: string, folders: string): AppError =>
  new AppError('runtime_missing', `Code runs in a sandbox only, and ${what} was not found in ${folders}.`, {
    hint: INSTALL_HINT,
  });

async function findProgram(name: string, folders: string): Promise<string | null> {
  for (const folder of folders.split(':')) {
    const isThere = await access(`${folder}/${name}`).then(
      () => true,
      () => false,
    );
    if (isThere) return `${folder}/${name}`;
  }
  return null;
}
