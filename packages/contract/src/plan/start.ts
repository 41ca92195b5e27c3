import type { ModelShape } from '../architectures/tensor.js';
import { AppError } from '../errors.js';
import { type AdapterRequest, asRequest, type MethodConfig, methodRow, TRAINING_KEYS } from '../methods/registry.js';
import type { RunConfig } from '../run-config.js';
import { type ResolvedAdapter, resolveAdapter } from './resolve-adapter.js';

/** The adapter that a run starts from, in place of a fresh one. */
export interface Start {
  /** What the request calls it. */
  model: string;
  /** sha256 of its folder. */
  sha256: string;
  /** The run that it is of, in the service. */
  run_id?: string | undefined;
  adapter: MethodConfig;
}

/** What a configuration keeps of it. */
export const startConfig = ({ model, sha256, run_id }: Start): NonNullable<RunConfig['start']> =>
  run_id === undefined ? { model, sha256 } : { model, sha256, run_id };

/** What a run's adapter has become after so many steps. @throws AppError `invalid_value` for a run that trained the base itself. */
export function trainedAdapter(model: string, config: MethodConfig, steps: number): MethodConfig {
  if ('target_modules' in config) return methodRow(config).after?.(config, steps) ?? config;
  throw new AppError('invalid_value', `'model' is '${model}', whose run trained the base itself.`, {
    param: 'model',
    hint: 'Register its merged export as a base, and start from that.',
  });
}

/**
 * The method of a run that starts from an adapter: the adapter's. Keys of the request may say the same, and how it is trained.
 * @throws AppError `invalid_value` naming the key that says otherwise.
 */
export function resolveStarted(request: AdapterRequest, start: Start, base: ModelShape): ResolvedAdapter {
  const { type, ...asked } = request;
  const own: Record<string, unknown> = { ...start.adapter };
  if (type !== undefined && methodRow({ type }).type !== own.type) throw otherwise(start, 'type', type, own.type);
  const resolved = resolveAdapter({ ...asRequest(start.adapter), ...asked }, base);
  for (const [key, value] of Object.entries(asked)) {
    const isFree = TRAINING_KEYS.includes(key) || (key === 'restart' && own.restart !== undefined);
    const now = (resolved.adapter as Record<string, unknown>)[key];
    if (value !== undefined && !isFree && JSON.stringify(now) !== JSON.stringify(own[key]))
      throw otherwise(start, key, value, own[key]);
  }
  return resolved;
}

function otherwise({ model }: Start, key: string, asked: unknown, own: unknown): AppError {
  const has = own === undefined ? 'has none' : `has ${shorten(own)}`;
  return new AppError(
    'invalid_value',
    `'adapter.${key}' is ${shorten(asked)}, but the adapter that the run starts from, '${model}', ${has}.`,
    { param: `adapter.${key}`, hint: 'Leave it out: the run goes on with the adapter as it is. Or start from a base.' },
  );
}

function shorten(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
