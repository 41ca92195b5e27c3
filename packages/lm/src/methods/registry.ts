import type { AdapterConfig } from '@moraine/contract';
import * as modules from './index.js';
import type { Method, MethodModule } from './method.js';

type OwnKeys<C> = C extends unknown ? Omit<C, 'dropout' | 'target_modules'> : never;

/** A method and its numbers: a stored configuration, or one without the keys that every adapter has. */
export type MethodOptions = OwnKeys<AdapterConfig>;

const byType: { [T in AdapterConfig['type']]: MethodModule<Extract<MethodOptions, { type: T }>> } = modules;

/** Every method that trains an adapter. */
export const METHOD_MODULES: readonly MethodModule<never>[] = Object.values(byType);

/** The method that a configuration asks for. */
export function createMethod(options: MethodOptions): Method {
  const { create } = byType[options.type] as MethodModule<MethodOptions>;
  return create(options);
}
