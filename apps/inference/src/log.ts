import { describeError, openLogDestination } from '@moraine/services';
import { type Logger, pino } from 'pino';
import { PinoPretty } from 'pino-pretty';
import type { InferenceEnv } from './env.js';

/** One JSON line an entry, or text for people. A disk that is full loses lines, never the process. */
export function openLog({ logLevel, logFormat }: Pick<InferenceEnv, 'logLevel' | 'logFormat'>): Logger {
  const options = { level: logLevel, base: { part: 'inference' }, serializers: { err: describeError } };
  const destination = openLogDestination();
  return logFormat === 'pretty'
    ? pino(options, PinoPretty({ ignore: 'pid,hostname,part', destination }))
    : pino(options, destination);
}
