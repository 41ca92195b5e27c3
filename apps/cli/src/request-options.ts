import { existsSync, readFileSync } from 'node:fs';
import { AppError, LOW_RANK, METHOD_SPELLINGS, methodRow, NumericMode, requestOf } from '@moraine/contract';
import { type Arguments, integer, number, type Option, text } from './args.js';
import { MIX_OPTION, mixEntries } from './mix-option.js';

export const MODES = NumericMode.options;

export const MODE_OPTION: Option = {
  type: 'string',
  value: 'MODE',
  help: 'How the numbers are computed: plain (default), xla, bf16 (faster where `moraine doctor` says that the processor multiplies bfloat16) or eager.',
};
export const METHOD_OPTION: Option = {
  type: 'string',
  value: 'NAME',
  help: `Training method: ${METHOD_SPELLINGS.join(', ')}; default ${METHOD_SPELLINGS[0]}. A word without a number takes what suits the rank.`,
};
/** Options of the command line that stand for keys of a fine-tuning request, and the file that holds the others. */
export const REQUEST_OPTIONS = {
  config: {
    type: 'string',
    value: 'FILE',
    help: 'JSON with the keys of a fine-tuning request; the options below count more.',
  },
  method: METHOD_OPTION,
  rank: {
    type: 'string',
    value: 'N',
    help: `Rank, or the rank whose budget the method matches; default 8. Of a download in format ${LOW_RANK}: its rank.`,
  },
  mix: MIX_OPTION,
  steps: { type: 'string', value: 'N', help: 'Stop after so many steps; default 3 epochs.' },
  'batch-size': { type: 'string', value: 'N', help: 'Rows a step; default by the number of rows.' },
  lr: { type: 'string', value: 'RATE', help: 'Peak learning rate; default by method and width.' },
  seq: { type: 'string', value: 'N', help: 'Longest row in tokens; default the context of the base.' },
  seed: { type: 'string', value: 'N', help: 'Seed of data order, initial values and dropout; default a random one.' },
  mode: MODE_OPTION,
  patience: {
    type: 'string',
    value: 'N',
    help: 'End early after so many evaluations of --valid without an improvement; the result is then the best checkpoint.',
  },
  'verify-resume': {
    type: 'boolean',
    help: 'At the end, go on from an earlier checkpoint once more and compare every step and weight to the bit.',
  },
  'min-delta': { type: 'string', value: 'NATS', help: 'How much lower the loss must be to count as one; default 0.' },
} satisfies Record<string, Option>;

/** The keys of a JSON file. @throws AppError naming the file and what is wrong with it. */
export function readJson(file: string): Record<string, unknown> {
  if (!existsSync(file)) {
    throw new AppError('not_found', `There is no file ${file}.`, { hint: 'Name a JSON file; configs/ has examples.' });
  }
  let value: unknown;
  try {
    // Windows' editors and shells write a byte order mark.
    value = JSON.parse(readFileSync(file, 'utf8').replace(/^\ufeff/, ''));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new AppError('invalid_value', `${file} is not JSON: ${why}.`, { hint: 'Correct it at that place.', cause });
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new AppError('invalid_value', `${file} holds no JSON object.`, { hint: 'Write {"adapter": {…}, …}.' });
}

/** The options of the command line in the places where they stand in a request. */
export function withOptions(body: Record<string, unknown>, args: Arguments): Record<string, unknown> {
  const given = { ...body };
  const put = (key: string, value: unknown): void => {
    if (value !== undefined) given[key] = value;
  };
  const inside = (key: string, values: Record<string, unknown>): void => {
    const set = Object.entries(values).filter(([, value]) => value !== undefined);
    if (set.length > 0) given[key] = { ...(given[key] as object | undefined), ...Object.fromEntries(set) };
  };
  const method = text(args, 'method');
  // Another method has no use for what the file says about its own.
  if (method !== undefined) given.adapter = { ...sharedKeys(given.adapter, method), ...requestOf(method) };
  inside('adapter', { rank: integer(args, 'rank', 1, 1024) });
  inside('early_stopping', {
    patience: integer(args, 'patience', 1, 1000),
    min_delta: number(args, 'min-delta', 0, 100),
  });
  inside('optimizer', { learning_rate: number(args, 'lr', 0, 10) });
  put('data_mix', mixEntries(args));
  put('max_steps', integer(args, 'steps', 1, 10_000_000));
  put('batch_size', integer(args, 'batch-size', 1, 4096));
  put('max_seq_len', integer(args, 'seq', 2, 2 ** 24));
  put('seed', integer(args, 'seed', 0, 2 ** 31 - 1));
  put('mode', text(args, 'mode'));
  put('verify_resume', args.options['verify-resume']);
  return given;
}

/** What a file says about its adapter, as far as the method of `--method` has the key too. */
function sharedKeys(adapter: unknown, word: string): Record<string, unknown> {
  if (typeof adapter !== 'object' || adapter === null) return {};
  const wanted = methodRow(requestOf(word));
  const written = adapter as Record<string, unknown>;
  if (written.type === wanted.type) return written;
  return Object.fromEntries(Object.entries(written).filter(([key]) => wanted.shared.some((shared) => shared === key)));
}
