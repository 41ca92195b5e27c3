import path from 'node:path';
import { AppError } from '@moraine/contract';
import { type Arguments, type Command, needed, number, type Option, text } from '../args.js';

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

export const LAMBDA_OPTION: Option = {
  type: 'string',
  value: 'L',
  help: "Share of the adapter's update that is applied: 1, the default, all of it; 0 gives the base.",
};

/** `--lambda`, 1 where it is not given. @throws AppError where there is no adapter that it could be of. */
export function lambdaOf(args: Arguments): number {
  const lambda = number(args, 'lambda', 0, 1);
  if (lambda !== undefined && text(args, 'adapter') === undefined)
    throw new AppError('invalid_request', '--lambda is a share of an adapter, and --adapter names none.', {
      hint: 'Name the adapter with --adapter, or leave --lambda out.',
    });
  return lambda ?? 1;
}

/** A needed option that names a file or folder, as a whole path. */
export const neededPath = (args: Arguments, name: string, command: Command): string =>
  path.resolve(needed(args, name, command));

/** An option that names a file or folder, as a whole path. */
export function pathOf(args: Arguments, name: string): string | undefined {
  const value = text(args, name);
  return value === undefined ? undefined : path.resolve(value);
}
