import path from 'node:path';
import { type Arguments, type Command, needed, type Option, text } from '../args.js';

export const BASE_OPTION: Option = {
  type: 'string',
  value: 'DIR',
  help: 'Hugging Face folder of the base: config.json, safetensors weights, tokenizer.json.',
};
export const ADAPTER_OPTION: Option = {
  type: 'string',
  value: 'DIR',
  help: "An adapter's folder: PEFT's layout, or as `local train` writes it.",
};
export const JSON_OPTION: Option = { type: 'boolean', help: 'One line of JSON on standard output.' };

/** A needed option that names a file or folder, as a whole path. */
export const neededPath = (args: Arguments, name: string, command: Command): string =>
  path.resolve(needed(args, name, command));

/** An option that names a file or folder, as a whole path. */
export function pathOf(args: Arguments, name: string): string | undefined {
  const value = text(args, name);
  return value === undefined ? undefined : path.resolve(value);
}
