import { PEFT, PEFT_PREFIX, peftName, unsupported } from '@moraine/contract/methods/stored';
import { invariant } from '@moraine/engine';
import type { HostTensor } from '../host.js';
import type { AdapterFiles, ExportedAdapter } from './method.js';
import type { AdapterSource } from './source.js';

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

/** The factors of a layer in files whose form is a plain LoRA: B·A is the update, the scale is in b [out, r]; a is [r, in]. Null for other forms. */
export function peftFactors({ config, tensors }: AdapterFiles, layer: string): { a: HostTensor; b: HostTensor } | null {
  if (config.peft_type !== 'LORA' || config.use_dora === true) return null;
  const [a, b] = ['lora_A', 'lora_B'].map((role) => tensors.get(`${PEFT_PREFIX}${layer}.${role}.weight`));
  invariant(a !== undefined && b !== undefined, `the adapter of ${layer} has no factors`);
  const scale = Number(config.lora_alpha) / Number(config.r);
  return { a, b: { ...b, data: b.data.map((x) => x * scale) } };
}
