import path from 'node:path';
import { AppError } from '@moraine/contract';
import { type Command, needed, noMoreThan, text } from '../args.js';
import { print, printError } from '../terminal.js';

const PART_SIZE = '48M';
const UNITS: Record<string, number> = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };
const PART_MIN = 2 ** 20;

/** `48M` in bytes. */
export function partBytes(size: string): number {
  const [, digits = '', unit = ''] = /^(\d+)([KMG])$/.exec(size) ?? [];
  const bytes = Number(digits) * (UNITS[unit] ?? Number.NaN);
  if (bytes >= PART_MIN) return bytes;
  throw new AppError('invalid_request', `--part-size is '${size}', which is not a size from 1M.`, {
    hint: `Write a whole number with K, M or G, e.g. --part-size ${PART_SIZE}.`,
  });
}

export const bundleCommand: Command = {
  name: 'bundle',
  forms: ['--cpu|--cuda --out DIR [--slim] [--part-size SIZE]'],
  options: {
    cpu: { type: 'boolean', help: 'With TensorFlow for the CPU.' },
    cuda: { type: 'boolean', help: 'With TensorFlow for NVIDIA GPUs and the CUDA libraries.' },
    slim: {
      type: 'boolean',
      help: 'Without Postgres, Redis and dashboard; with --cuda only the CUDA libraries that a training step calls.',
    },
    out: { type: 'string', value: 'DIR', help: 'Empty or new folder for the bundle.' },
    'part-size': { type: 'string', value: 'SIZE', help: `Largest part, with K, M or G; default ${PART_SIZE}.` },
  },
  run: async (args) => {
    noMoreThan(args, 0, bundleCommand);
    const { cpu, cuda, slim } = args.options;
    if ((cpu === true) === (cuda === true))
      throw new AppError('invalid_request', 'A bundle is made with --cpu or with --cuda.', {
        hint: 'Give one of them.',
      });
    const out = path.resolve(needed(args, 'out', bundleCommand));
    const size = partBytes(text(args, 'part-size') ?? PART_SIZE);
    const { isCheckout, makeBundle, megabytes } = await import('../bundle/make-bundle.js');
    if (!isCheckout())
      throw new AppError('invalid_request', 'This is a bundle, and a bundle cannot make another one.', {
        hint: 'Run `npx moraine bundle` in a checkout.',
      });
    const manifest = await makeBundle(
      { variant: cuda ? 'cuda' : 'cpu', isSlim: slim === true, partBytes: size, out },
      printError,
    );
    const { packed_bytes: packed, unpacked_bytes: unpacked, requires, archives } = manifest;
    const count = archives.reduce((sum, { parts }) => sum + parts.length, 0);
    print(`${out}: ${count} parts, ${megabytes(packed)}; installed ${megabytes(unpacked)}.`);
    print(
      `Needs ${manifest.machine}, glibc ${requires.glibc}, ${requires.libstdcxx}. Carry the folder there and run: sh install.sh DIR`,
    );
    return 0;
  },
};
