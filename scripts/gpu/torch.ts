/** PyTorch with PEFT, where this machine has them: the other side of the timings. Nothing is installed for it. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { findProgram } from '@moraine/engine/install';
import { runJson } from './child.js';

export interface Torch {
  python: string;
  versions: Record<string, string>;
}

const PROBE = `
import json, sys
import torch, transformers, peft
assert torch.cuda.is_available() or sys.argv[1] == "cpu", "this PyTorch sees no GPU"
versions = {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__}
if torch.version.cuda: versions["torch_cuda"] = torch.version.cuda
print(json.dumps(versions))`;

/** Libraries that stand in for CUDA's would break a PyTorch that finds them. */
export function withoutStubs(path = process.env.LD_LIBRARY_PATH): Record<string, string> {
  const kept = (path ?? '').split(':').filter((dir) => dir !== '' && !/\/stubs\/?$/.test(dir));
  return { LD_LIBRARY_PATH: kept.join(':') };
}

/** The first Python that has all three and computes on this kind of device, or why there is none. */
export async function findTorch(kind: 'cpu' | 'gpu', named: string | undefined): Promise<Torch | string> {
  const own = resolve(import.meta.dirname, '../../.venv/peft/bin/python');
  const candidates = named === undefined ? [own, findProgram('python3'), findProgram('python')] : [named];
  let why = 'no Python was found';
  for (const python of candidates) {
    if (python === undefined || !existsSync(python)) continue;
    const options = { env: withoutStubs(), timeoutMs: 60_000 };
    const { value, problem } = await runJson<Record<string, string>>(python, ['-c', PROBE, kind], options);
    if (value !== null) return { python, versions: value };
    why = `${python}: ${problem.split('\n').at(-1)}`;
  }
  return why;
}

export const benchProgram = (name: string): string => join(import.meta.dirname, '../bench', name);
