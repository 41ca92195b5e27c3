import { AppError } from '@moraine/contract';
import type { Arguments } from './args.js';

/** The pairs of every `--metadata key=value`, or undefined where there is none. */
export function metadataOf(args: Arguments): Record<string, string> | undefined {
  const pairs = args.repeated.metadata?.map((pair): [string, string] => {
    const equals = pair.indexOf('=');
    if (equals < 1)
      throw new AppError('invalid_request', `--metadata is '${pair}', which is no pair.`, {
        hint: 'Write it like --metadata team=blue.',
      });
    return [pair.slice(0, equals), pair.slice(equals + 1)];
  });
  return pairs && Object.fromEntries(pairs);
}
