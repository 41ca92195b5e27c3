import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { AppError } from '@moraine/contract';
import { makeFolder } from '@moraine/contract/make-folder';
import { inRepo } from '../paths.js';
import type { Entry } from './pack.js';

/** `scripts/gpu` as JavaScript, with what it takes from the tests of `packages/lm`, in the same places below `folder`. */
export async function compileGpuScripts(folder: string): Promise<string> {
  const { runCommand } = await import('@moraine/engine/install');
  const tsc = inRepo('node_modules/typescript/bin/tsc');
  const config = inRepo('scripts/gpu/tsconfig.bundle.json');
  const { status, stdout, stderr } = await runCommand(process.execPath, [tsc, '-p', config, '--outDir', folder]);
  if (status === 0) return folder;
  throw new AppError('internal', `scripts/gpu does not compile:\n${stdout}${stderr}`, {
    hint: 'Run `npm run verify` in the checkout.',
  });
}

/** TensorFlow ends the process when it asks for cuDNN's version and nobody replies; it asks before it uses anything of it. */
const CUDNN_VERSION = `
unsigned long cudnnGetVersion(void) { return 90300; }
int cudnnGetProperty(int part, int *value) { *value = part == 0 ? 9 : part == 1 ? 3 : 0; return 0; }
`;

/**
 * Empty libraries under the names that TensorFlow opens when it registers a card and a training step never calls. Linked to
 * nothing, so that they load on every system.
 */
export async function makeStubs(folder: string): Promise<Entry[]> {
  const { cudaStubs, requireCompiler, runCommand } = await import('@moraine/engine/install');
  const { program } = await requireCompiler();
  makeFolder(folder);
  const source = path.join(folder, 'stub.c');
  const entries: Entry[] = [];
  for (const file of cudaStubs) {
    const from = path.join(folder, file);
    writeFileSync(source, file.startsWith('libcudnn.') ? CUDNN_VERSION : '');
    const words = ['-x', 'c', '-shared', '-nostdlib', `-Wl,-soname,${file}`, source, '-o', from];
    const { status, stderr } = await runCommand(program, words);
    if (status !== 0) throw new AppError('internal', `${program} could not make an empty ${file}: ${stderr}`);
    entries.push({ name: `stubs/${file}`, from });
  }
  return entries;
}
