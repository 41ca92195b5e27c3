import { AppError } from '../errors.js';

/** The JSON beside an adapter's weights. */
export type StoredJson = Readonly<Record<string, unknown>>;

/** How a folder says what adapter it holds: the file of its configuration and, in PEFT's layout, the `peft_type` in it. */
export interface StoredForm<Options = Readonly<Record<string, unknown>>> {
  configName: string;
  weightsName: string;
  peftType?: string;
  /** Where several methods have one `peft_type`: the key of the configuration that is true of this one alone. */
  peftFlag?: string;
  /** How often it stores each trained number; absent: once. */
  copies?: number;
  /** The method with its numbers, without its layers, as a configuration says it. @throws AppError `unsupported_format`. */
  options(json: StoredJson, file: string): Options;
  /** Why a run cannot go on training it; null where it can. */
  untrainable?(json: StoredJson): string | null;
}

/** Keys of a resolved configuration that a folder's JSON says. */
export type StoredOptions<Config> = Omit<Config, 'target_modules' | 'modules_to_save'>;

export const PEFT = { configName: 'adapter_config.json', weightsName: 'adapter_model.safetensors' } as const;
export const PEFT_PREFIX = 'base_model.model.';

/** `<path>` and `<role>` of a tensor's name in a PEFT file, or null. */
export function peftName(stored: string): { path: string; role: string } | null {
  const [, path, role] = /^base_model\.model\.(.+)\.(\w+)$/.exec(stored.replace(/(\.default)?(\.weight)?$/, '')) ?? [];
  return path === undefined || role === undefined ? null : { path, role };
}

export const unsupported = (where: string, problem: string): AppError =>
  new AppError('unsupported_format', `${where}: ${problem}.`, {
    param: 'adapter',
    hint: 'Take a plain LoRA or a MoRA adapter, or merge it into its base and use that as --base.',
  });

/** @throws AppError `unsupported_format` for a key of the configuration that asks for something else than what is given here. */
export function refuseOther(file: string, json: StoredJson, wanted: StoredJson): void {
  for (const [key, value] of Object.entries(wanted))
    if ((json[key] ?? value) !== value)
      throw unsupported(file, `${key} is ${JSON.stringify(json[key])}, not ${JSON.stringify(value)}`);
}

/** A whole number of at least 1 in the configuration. */
export function readCount(file: string, json: StoredJson, key: string): number {
  const value = json[key];
  if (typeof value === 'number' && Number.isInteger(value) && value > 0) return value;
  throw unsupported(file, `${key} is ${JSON.stringify(value)}, not a whole number`);
}

/** A number in the configuration. */
export function readNumber(file: string, json: StoredJson, key: string): number {
  const value = json[key];
  if (typeof value === 'number') return value;
  throw unsupported(file, `${key} is ${JSON.stringify(value)}, not a number`);
}

/** The dropout that it was trained with; 0 where none is said. */
export function readDropout(json: StoredJson, key: string): number {
  const value = json[key];
  return typeof value === 'number' && value >= 0 && value <= 0.95 ? value : 0;
}

type Parsed<C> = { success: true; data: C } | { success: false };

/** The form of a method that was merged and started again: all its variables, and the keys of its configuration that are its own. */
export const restartedForm = <C extends object>(
  type: string,
  schema: { safeParse(value: unknown): Parsed<C> },
): StoredForm<StoredOptions<C>> => ({
  configName: `re${type}_config.json`,
  weightsName: `re${type}_model.safetensors`,
  options: (json, file) => {
    if (json.format !== `moraine-re${type}` || json.format_version !== 1)
      throw unsupported(
        file,
        `format ${String(json.format)} ${String(json.format_version)} is not moraine-re${type} 1`,
      );
    const parsed = schema.safeParse({ ...(json.method as object | null | undefined), dropout: 0, target_modules: [] });
    if (!parsed.success)
      throw unsupported('The configuration', `${JSON.stringify(json.method)} is not one of this method`);
    const { target_modules: _none, ...options } = parsed.data as C & { target_modules: unknown };
    return options as unknown as StoredOptions<C>;
  },
});
