import { parseArgs } from 'node:util';
import { AppError, nearest } from '@moraine/contract';

export interface Option {
  type: 'string' | 'boolean';
  /** Name of the value in the help, e.g. `DIR`. */
  value?: string;
  short?: string;
  help: string;
}

export interface Arguments {
  options: Record<string, string | boolean | undefined>;
  /** Every value of an option that was given more than once, in order; `options` holds the last. */
  repeated: Record<string, string[]>;
  positionals: string[];
}

export interface Command {
  name: string;
  /** What may follow the name, one line each form. */
  forms: string[];
  /** Whole commands as one may write them, without `moraine` and the name. */
  examples?: string[];
  options: Record<string, Option>;
  /** Exit status. */
  run(args: Arguments): Promise<number>;
}

export const DATA_OPTION: Option = {
  type: 'string',
  value: 'DIR',
  help: 'Folder of the stack; default $MORAINE_DATA, else .data in the repository.',
};

/** A wrong use of a command. */
export const mistake = (message: string, hint: string): AppError => new AppError('invalid_request', message, { hint });

/** Reads the words behind a command's name. An unknown option is refused with the nearest valid one. */
export function readArguments(command: Command, words: readonly string[]): Arguments {
  const { tokens } = parseArgs({
    args: [...words],
    options: Object.fromEntries(
      Object.entries(command.options).map(([name, { type, short }]) => [name, short ? { type, short } : { type }]),
    ),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const args: Arguments = { options: {}, repeated: {}, positionals: [] };
  for (const token of tokens) {
    if (token.kind === 'positional') args.positionals.push(token.value);
    if (token.kind !== 'option') continue;
    const option = command.options[token.name];
    if (!option) {
      const near = nearest(token.name, Object.keys(command.options));
      const help = `\`moraine ${command.name} --help\` lists its options.`;
      throw mistake(
        `moraine ${command.name} has no option '${token.rawName}'.`,
        near ? `Did you mean '--${near}'?` : help,
      );
    }
    if (option.type === 'string' && (token.value === undefined || token.value === ''))
      throw mistake(`${token.rawName} needs a value.`, `Write ${token.rawName} ${option.value ?? 'VALUE'}.`);
    if (option.type === 'boolean' && token.value !== undefined)
      throw mistake(
        `${token.rawName} takes no value, but '${token.value}' was given.`,
        `Write ${token.rawName} alone.`,
      );
    args.options[token.name] = token.value ?? true;
    if (token.value !== undefined) args.repeated[token.name] = [...(args.repeated[token.name] ?? []), token.value];
  }
  return args;
}

/** An option as text, or undefined. */
export function text(args: Arguments, name: string): string | undefined {
  const value = args.options[name];
  return typeof value === 'string' ? value : undefined;
}

/** An option as a whole number within bounds, or undefined when it was not given. */
export function integer(args: Arguments, name: string, least: number, most: number): number | undefined {
  const value = text(args, name);
  if (value === undefined) return undefined;
  const number = Number(value);
  if (!Number.isInteger(number) || number < least || number > most)
    throw mistake(
      `--${name} is '${value}', which is not a whole number from ${least} to ${most}.`,
      `Give such a number, e.g. --${name} ${least}.`,
    );
  return number;
}

/** An option as a number within bounds, or undefined when it was not given. */
export function number(args: Arguments, name: string, least: number, most: number): number | undefined {
  const value = text(args, name);
  if (value === undefined) return undefined;
  const number = Number(value);
  if (!Number.isFinite(number) || number < least || number > most)
    throw mistake(`--${name} is '${value}', which is not a number from ${least} to ${most}.`, 'Give such a number.');
  return number;
}

/** An option that must be one of some words, or undefined when it was not given. */
export function oneOf<T extends string>(args: Arguments, name: string, words: readonly T[]): T | undefined {
  const value = text(args, name);
  if (value === undefined) return undefined;
  const word = words.find((one) => one === value);
  if (word !== undefined) return word;
  const near = nearest(value, words);
  throw mistake(
    `--${name} is '${value}', which is none of ${words.join(', ')}.`,
    near ? `Did you mean '${near}'?` : 'Use one of these.',
  );
}

/** An option that the command cannot do without. */
export function needed(args: Arguments, name: string, command: Command): string {
  const value = text(args, name);
  if (value !== undefined) return value;
  const wanted = command.options[name];
  throw mistake(
    `--${name} is missing.`,
    `Write --${name} ${wanted?.value ?? 'VALUE'}: ${wanted?.help ?? 'it is needed.'}`,
  );
}

/** The positional argument at `index`. */
export function required(args: Arguments, index: number, what: string, command: Command): string {
  const value = args.positionals[index];
  if (value === undefined)
    throw mistake(
      `${what} is missing.`,
      `Usage: ${command.forms.map((form) => `moraine ${command.name} ${form}`).join(' | ')}`,
    );
  return value;
}

/** Runs the action that the first word names. @throws AppError naming the nearest action. */
export function runAction(
  args: Arguments,
  command: Command,
  actions: Record<string, (args: Arguments) => Promise<number>>,
): Promise<number> {
  const name = required(args, 0, 'What to do', command);
  const action = Object.hasOwn(actions, name) ? actions[name] : undefined;
  if (action) return action(args);
  const near = nearest(name, Object.keys(actions));
  throw mistake(
    `moraine ${command.name} has no action '${name}'.`,
    near ? `Did you mean '${command.name} ${near}'?` : `Its actions are ${Object.keys(actions).join(', ')}.`,
  );
}

/** Refuses more arguments than the command takes. */
export function noMoreThan(args: Arguments, count: number, command: Command): void {
  const extra = args.positionals[count];
  if (extra !== undefined)
    throw mistake(`'${extra}' is one argument too many.`, `\`moraine ${command.name} --help\` shows what it takes.`);
}

export function helpOf(command: Command, summary: string): string {
  const rows = Object.entries(command.options).map(([name, option]): [string, string] => [
    `  ${option.short ? `-${option.short}, ` : ''}--${name}${option.value ? ` ${option.value}` : ''}`,
    option.help,
  ]);
  const width = Math.max(0, ...rows.map(([left]) => left.length));
  const usage = command.forms.map((form) => `  moraine ${command.name}${form ? ` ${form}` : ''}`).join('\n');
  const options = rows.map(([left, right]) => `${left.padEnd(width)}  ${right}`).join('\n');
  const examples = (command.examples ?? []).map((words) => `  moraine ${command.name} ${words}`.trimEnd()).join('\n');
  const parts = [options && `\nOptions:\n${options}\n`, examples && `\nExamples:\n${examples}\n`];
  return `${summary}\n\nUsage:\n${usage}\n${parts.join('')}`;
}
