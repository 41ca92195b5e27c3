import { SAMPLES_MAX, SamplingRequest } from '@moraine/contract/suites';
import { type Arguments, integer, mistake, number, type Option, text } from './args.js';

/** Options of several answers to each item. */
export const SAMPLING_OPTIONS = {
  samples: {
    type: 'string',
    value: 'N',
    help: 'Draw so many answers to each item, for pass@k; default one, of the likeliest tokens.',
  },
  temperature: { type: 'string', value: 'T', help: 'With --samples: above 0, default 0.8.' },
  'top-p': {
    type: 'string',
    value: 'P',
    help: 'With --samples: draw from the likeliest tokens that have this share; default 1.',
  },
  'sample-seed': { type: 'string', value: 'N', help: 'With --samples: seed of the draws; default 0.' },
  ks: {
    type: 'string',
    value: 'LIST',
    help: 'With --samples: the k of pass@k, separated by commas; default 1 and all samples.',
  },
} satisfies Record<string, Option>;

/** The samples that the options ask for; null where they ask for none. @throws AppError for options of samples without `--samples`. */
export function samplingOf(args: Arguments): SamplingRequest | null {
  const samples = integer(args, 'samples', 1, SAMPLES_MAX);
  if (samples === undefined) {
    const given = Object.keys(SAMPLING_OPTIONS).find((name) => args.options[name] !== undefined);
    if (given === undefined) return null;
    throw mistake(
      `--${given} is about drawn answers, and --samples names none.`,
      `Add --samples N, or leave --${given} out.`,
    );
  }
  const [temperature, top_p] = [positive(args, 'temperature', 100), positive(args, 'top-p', 1)];
  const ks = text(args, 'ks')?.split(',').map(Number);
  if (ks?.some((k) => !Number.isInteger(k) || k < 1))
    throw mistake(`--ks is '${text(args, 'ks')}', which is not a list of whole numbers.`, `Write --ks 1,${samples}.`);
  const seed = integer(args, 'sample-seed', 0, 2 ** 31 - 1);
  return SamplingRequest.parse({ samples, temperature, top_p, seed, ks });
}

function positive(args: Arguments, name: string, most: number): number | undefined {
  const value = number(args, name, 0, most);
  if (value !== 0) return value;
  throw mistake(`--${name} is 0, where every sample would be the same.`, 'Take more than 0, or leave --samples out.');
}
