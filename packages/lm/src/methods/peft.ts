import type { HostTensor } from '../host.js';
import type { AdapterFiles, ExportedAdapter } from './method.js';

export const PEFT = { configName: 'adapter_config.json', weightsName: 'adapter_model.safetensors' } as const;
const PREFIX = 'base_model.model.';

/** A folder in PEFT's layout: tensors by `<path>.<role>`, and what is the method's own in the configuration. */
export function peftFiles(
  { baseName, targetModules }: ExportedAdapter,
  peftType: string,
  tensors: Iterable<readonly [name: string, value: HostTensor]>,
  own: Record<string, unknown>,
): AdapterFiles {
  return {
    ...PEFT,
    tensors: new Map([...tensors].map(([name, value]) => [`${PREFIX}${name}.weight`, value])),
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
  const [, path, role] = /^base_model\.model\.(.+)\.([A-Za-z_]+?)(?:\.default)?\.weight$/.exec(stored) ?? [];
  return path === undefined || role === undefined ? null : { path, role };
}
