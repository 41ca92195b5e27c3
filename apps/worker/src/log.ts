import { describeError } from '@moraine/services';
import { type Logger, pino } from 'pino';
import { PinoPretty } from 'pino-pretty';
import type { WorkerEnv } from './env.js';

/** One JSON line an entry, or text for people. */
export function openLog({ logLevel, logFormat, name }: Pick<WorkerEnv, 'logLevel' | 'logFormat' | 'name'>): Logger {
  const options = { level: logLevel, base: { part: 'worker', worker: name }, serializers: { err: describeError } };
  return logFormat === 'pretty' ? pino(options, PinoPretty({ ignore: 'pid,hostname,part' })) : pino(options);
}
