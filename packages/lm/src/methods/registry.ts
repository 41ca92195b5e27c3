import type { AdapterConfig } from '@moraine/contract';
import * as modules from './index.js';
import type { Method, MethodModule, StoredMethod } from './method.js';

type OwnKeys<C> = C extends unknown ? Omit<C, 'dropout' | 'target_modules'> : never;

/** A method and its numbers: a stored configuration, or one without the keys that every adapter has. */
export type MethodOptions = OwnKeys<AdapterConfig>;

const byType: { [T in AdapterConfig['type']]: MethodModule<Extract<MethodOptions, { type: T }>> } = modules;

/** Every method that trains an adapter. */
const METHOD_MODULES: readonly MethodModule<never>[] = Object.values(byType);

/** The method that a configuration asks for. */
export function createMethod(options: MethodOptions): Method {
  const { create } = byType[options.type] as MethodModule<MethodOptions>;
  return create(options);
}

/** Every form that an adapter is stored in. */
export const STORED_METHODS: readonly StoredMethod[] = METHOD_MODULES.flatMap(({ stored = [] }) => stored);

/** What reads a folder of an adapter, by the file of its configuration and what is in it; undefined where nothing does. */
export function storedMethod(configName: string, json: Readonly<Record<string, unknown>>): StoredMethod | undefined {
  const known = STORED_METHODS.filter(
    ({ form }) => form.configName === configName && (form.peftType === undefined || form.peftType === json.peft_type),
  );
  const flagged = known.find(({ form }) => form.peftFlag !== undefined && json[form.peftFlag] === true);
  return flagged ?? known.find(({ form }) => form.peftFlag === undefined);
}
