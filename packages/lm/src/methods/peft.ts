import type { HostTensor } from '../host.js';
import type { AdapterFiles, ExportedAdapter } from './method.js';
import { type AdapterSource, unsupported } from './source.js';

export const PEFT = { configName: 'adapter_config.json', weightsName: 'adapter_model.safetensors' } as const;
export const PEFT_PREFIX = 'base_model.model.';

/** A folder in PEFT's layout: tensors by `<path>.<role>`, with `.weight` where PEFT has a module, and the method's own configuration. */
export function peftFiles(
  { baseName, targetModules }: ExportedAdapter,
  peftType: string,
  tensors: Iterable<readonly [name: string, value: HostTensor]>,
  own: Record<string, unknown>,
): AdapterFiles {
  return {
    ...PEFT,
    tensors: new Map([...tensors].map(([name, value]) => [`${PEFT_PREFIX}${name}`, value])),
    config: {
      peft_type: peftType,
      task_type: 'CAUSAL_LM',
      base_model_name_or_path: baseName,
      target_modules: [...targetModules],
      bias: 'none',
      inference_mode: true,
      modules_to_save: null,
      ...own,
    },
  };
}

/** `<path>` and `<role>` of a tensor's name in a PEFT file, or null. */
export function peftName(stored: string): { path: string; role: string } | null {
  const [, path, role] = /^base_model\.model\.(.+)\.(\w+)$/.exec(stored.replace(/(\.default)?(\.weight)?$/, '')) ?? [];
  return path === undefined || role === undefined ? null : { path, role };
}

/** The variables `<path>.<role>` of a PEFT file that holds nothing but `roles`. @throws AppError `unsupported_format` naming what else it holds. */
export function peftVariables(
  source: AdapterSource,
  method: string,
  roles: readonly string[],
): Map<string, HostTensor> {
  const variables = new Map<string, HostTensor>();
  for (const [stored, tensor] of source.tensors()) {
    const name = peftName(stored);
    if (name === null || !roles.includes(name.role))
      throw unsupported(source.dir, `it holds ${stored}, which is no part of ${method}`);
    variables.set(`${name.path}.${name.role}`, tensor);
  }
  return variables;
}

/** @throws AppError `unsupported_format` for a key of the configuration that asks for something else than what is given here. */
export function refuseOther({ file, json }: AdapterSource, wanted: Readonly<Record<string, unknown>>): void {
  for (const [key, value] of Object.entries(wanted))
    if ((json[key] ?? value) !== value)
      throw unsupported(file, `${key} is ${JSON.stringify(json[key])}, not ${JSON.stringify(value)}`);
}

/** A whole number of at least 1 in the configuration. */
export function readCount({ file, json }: AdapterSource, key: string): number {
  const value = json[key];
  if (typeof value === 'number' && Number.isInteger(value) && value > 0) return value;
  throw unsupported(file, `${key} is ${JSON.stringify(value)}, not a whole number`);
}
