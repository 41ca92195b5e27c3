import { createHash } from 'node:crypto';
import { AppError } from '@moraine/contract';
import type { Client } from '@moraine/contract/client';
import type { z } from 'zod';
import type { Arguments } from '../args.js';
import { connect } from '../connect.js';

/** What the tools work with: the options that the server was started with. The stack may start later than the server. */
export interface Context {
  args: Arguments;
}

export const clientOf = ({ args }: Context): Client => connect(args);

/** The options of the server with those of one call, as commands take them; nothing is shown while it goes on. */
export const argumentsWith = ({ args }: Context, options: Arguments['options']): Arguments => ({
  options: { ...args.options, json: true, ...Object.fromEntries(Object.entries(options).filter(([, value]) => value)) },
  repeated: {},
  positionals: [],
});

/** `read` changes nothing, `change` adds something, `destroy` ends or deletes something and asks for a confirmation. */
export type Effect = 'read' | 'change' | 'destroy';

export interface Tool {
  name: string;
  title: string;
  /** What it does and returns, and when it is the right one. */
  description: string;
  effect: Effect;
  input: z.ZodObject;
  /** A text, or a value that is written as JSON. */
  run(context: Context, input: never, signal: AbortSignal): Promise<unknown>;
}

/** A tool whose input is typed by its schema. */
export const defineTool = <S extends z.ZodObject>(
  tool: Omit<Tool, 'input' | 'run'> & {
    input: S;
    run(context: Context, input: z.output<S>, signal: AbortSignal): Promise<unknown>;
  },
): Tool => tool as unknown as Tool;

/** The word that stands for doing exactly this: another request has another one. */
export const confirmationOf = (verb: string, what: unknown): string =>
  `${verb}-${createHash('sha256').update(JSON.stringify(what)).digest('hex').slice(0, 8)}`;

/** @throws AppError where a confirmation was given for something else. */
export function isConfirmed(given: string | undefined, wanted: string): boolean {
  if (given === undefined) return false;
  if (given === wanted) return true;
  throw new AppError('invalid_value', `'${given}' does not confirm this: something is not as it was shown.`, {
    param: 'confirm',
    hint: 'Call it again without confirm, show what it answers, and give the string that it names.',
  });
}
