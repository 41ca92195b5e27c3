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

/** The method that a folder of an adapter holds, by the file of its configuration and what is in it; undefined for one that is not read. */
export function storedModule(configName: string, json: Readonly<Record<string, unknown>>) {
  const ofFile = METHOD_MODULES.filter(({ form }) => form.configName === configName);
  const isFlagged = ({ form }: (typeof ofFile)[number]) => form.peftFlag !== undefined && json[form.peftFlag] === true;
  const known = ofFile.filter(({ form }) => form.peftType === undefined || form.peftType === json.peft_type);
  return known.find(isFlagged) ?? known.find(({ form }) => form.peftFlag === undefined);
}
