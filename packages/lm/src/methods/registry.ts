import type { AdapterConfig } from '@moraine/contract';
import type { StoredForm } from '@moraine/contract/methods/stored';
import { invariant } from '@moraine/engine';
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
const STORED_METHODS: readonly StoredMethod[] = METHOD_MODULES.flatMap(({ stored = [] }) => stored);

/** What reads a folder of that form. */
export function storedMethod(form: StoredForm): StoredMethod {
  const found = STORED_METHODS.find((method) => method.form === form);
  invariant(found !== undefined, 'every form of the contract has a method that reads it');
  return found;
}

/** The files of updates that are products of thin matrices, whatever method made them. */
export { loraFiles as productFiles } from './lora.js';
