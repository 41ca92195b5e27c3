import { describeError, openLogDestination } from '@moraine/services';
import { type Logger, pino } from 'pino';
import { PinoPretty } from 'pino-pretty';
import type { ApiEnv } from './env.js';

/** One JSON line each, or coloured lines for people. A disk that is full loses lines, never the process. */
export function createLog({ logLevel, logFormat }: Pick<ApiEnv, 'logLevel' | 'logFormat'>): Logger {
  const options = { level: logLevel, base: { part: 'api' }, serializers: { err: describeError } };
  const destination = openLogDestination();
  return logFormat === 'pretty'
    ? pino(options, PinoPretty({ sync: true, ignore: 'part', destination }))
    : pino(options, destination);
}
