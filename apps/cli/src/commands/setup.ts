import { AppError } from '@moraine/contract';
import { type Command, noMoreThan } from '../args.js';
import { progressLine } from '../progress-line.js';
import { bytes, print } from '../terminal.js';
import { findRedis } from '../up/redis.js';

export const setupCommand: Command = {
  name: 'setup',
  forms: ['[--cpu | --cuda] [--force]'],
  options: {
    cpu: { type: 'boolean', help: 'TensorFlow for the CPU, also where a GPU is.' },
    cuda: { type: 'boolean', help: 'TensorFlow for NVIDIA GPUs. Default: where a driver is found.' },
    force: { type: 'boolean', help: 'Download and compile again what is there.' },
  },
  run: async (args) => {
    noMoreThan(args, 0, setupCommand);
    const { cpu, cuda, force } = args.options;
    if (cpu && cuda)
      throw new AppError('invalid_request', '--cpu and --cuda exclude each other.', {
        hint: 'Give one of them, or none.',
      });
    const { installRuntime, runtimeStatus } = await import('@moraine/engine/install');
    const variant = cpu ? ('cpu' as const) : cuda ? ('cuda' as const) : undefined;
    const before = runtimeStatus({ variant });
    if (!before.isInstalled || force) {
      const line = progressLine();
      const started = performance.now();
      try {
        const done = await installRuntime(
          { variant, force: force === true },
          ({ phase, detail, doneBytes, totalBytes }) => {
            const share = doneBytes !== undefined && totalBytes ? `  ${bytes(doneBytes)} of ${bytes(totalBytes)}` : '';
            line.show(`${phase.padEnd(8)} ${detail}${share}`, phase + detail);
          },
        );
        line.clear();
        print(
          `TensorFlow ${done.tensorflow} (${done.variant}) is ready, ${((performance.now() - started) / 1000).toFixed(1)} s.`,
        );
      } finally {
        line.clear();
      }
    } else print(`TensorFlow ${before.tensorflow} (${before.variant}) is ready.`);
    print(`Redis server: ${await findRedis()}`);
    return 0;
  },
};
