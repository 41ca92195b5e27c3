import { describeError } from '@moraine/services';
import { type Logger, pino } from 'pino';
import { PinoPretty } from 'pino-pretty';
import type { ApiEnv } from './env.js';

/** One JSON line each, or coloured lines for people. */
export function createLog({ logLevel, logFormat }: Pick<ApiEnv, 'logLevel' | 'logFormat'>): Logger {
  const options = { level: logLevel, base: { part: 'api' }, serializers: { err: describeError } };
  return logFormat === 'pretty' ? pino(options, PinoPretty({ sync: true, ignore: 'part' })) : pino(options);
}
