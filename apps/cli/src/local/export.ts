import { existsSync } from 'node:fs';
import { AppError, EXPORT_FORMATS, LOW_RANK } from '@moraine/contract';
import { type Command, integer, noMoreThan, number, oneOf } from '../args.js';
import { print } from '../terminal.js';
import { ADAPTER_OPTION, BASE_OPTION, JSON_OPTION, LAMBDA_OPTION, lambdaOf, neededPath } from './options.js';

export const exportCommand: Command = {
  name: 'local export',
  forms: ['--base DIR --adapter DIR --out DIR [--format NAME] [--lambda L] [--rank R [--allow-error E]] [--json]'],
  options: {
    base: BASE_OPTION,
    adapter: { ...ADAPTER_OPTION, help: `${ADAPTER_OPTION.help} Or the whole model of full fine-tuning.` },
    out: { type: 'string', value: 'DIR', help: 'A new folder for the files.' },
    format: {
      type: 'string',
      value: 'NAME',
      help: `Form: merged (default: a whole model), peft (exactly equal, as PEFT reads it), native, ${LOW_RANK} (of --rank, approximate), or gguf (a whole model in float16 for llama.cpp).`,
    },
    lambda: LAMBDA_OPTION,
    rank: { type: 'string', value: 'R', help: `Format ${LOW_RANK}: rank of what stands for the update.` },
    'allow-error': {
      type: 'string',
      value: 'E',
      help: `Format ${LOW_RANK}: share of the update that it may leave out, 0 to 1; default 0.05.`,
    },
    json: JSON_OPTION,
  },
  run: async (args) => {
    noMoreThan(args, 0, exportCommand);
    const out = neededPath(args, 'out', exportCommand);
    const baseDir = neededPath(args, 'base', exportCommand);
    const resultDir = neededPath(args, 'adapter', exportCommand);
    if (existsSync(out))
      throw new AppError('conflict', `${out} is there already.`, { hint: 'Name a new folder with --out.' });
    const order = {
      baseDir,
      // Whoever reads the adapter finds its base at this path.
      baseName: baseDir,
      resultDir,
      format: oneOf(args, 'format', EXPORT_FORMATS) ?? ('merged' as const),
      lambda: lambdaOf(args),
      rank: integer(args, 'rank', 1, 1024),
      maxError: number(args, 'allow-error', 0, 1),
    };
    const { writeExport } = await import('@moraine/recipes');
    const { facts, sentences } = await writeExport(out, order);
    print(args.options.json === true ? JSON.stringify({ out, ...facts }) : [out, ...sentences].join('\n'));
    return 0;
  },
};

const { format: _format, rank: _rank, 'allow-error': _allow, ...MERGE_OPTIONS } = exportCommand.options;

/** The export that is asked for most, by its name. */
export const mergeCommand: Command = {
  name: 'local merge',
  forms: ['--base DIR --adapter DIR --out DIR [--lambda L] [--json]'],
  options: MERGE_OPTIONS,
  run: exportCommand.run,
};
