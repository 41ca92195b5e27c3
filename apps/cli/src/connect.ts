import { AppError } from '@moraine/contract';
import { type Client, createClient } from '@moraine/contract/client';
import { type Arguments, text } from './args.js';
import { clientAddress } from './env.js';
import { dataDirFor } from './paths.js';
import { runningStack, type StackAddress } from './up/stack-file.js';

/**
 * The stack to talk to: the one that runs on `--data` (or the default folder), else the server that OPENAI_BASE_URL and OPENAI_API_KEY name.
 * @throws AppError `unavailable` when there is neither.
 */
export function addressFor(args: Arguments): StackAddress {
  const dataDir = dataDirFor(text(args, 'data'));
  const local = runningStack(dataDir);
  if (local) return local;
  const remote = clientAddress();
  if (remote && text(args, 'data') === undefined)
    return { origin: remote.baseUrl.replace(/\/v1\/?$/, ''), apiKey: remote.apiKey };
  throw new AppError('unavailable', `No stack runs on ${dataDir}.`, {
    hint: 'Start one with `npm start`, or set OPENAI_BASE_URL and OPENAI_API_KEY to a server of yours.',
  });
}

export const connect = (args: Arguments): Client => createClient(addressFor(args));
