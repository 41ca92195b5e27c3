import { EngineError } from '../error.js';
import { sizeOf } from '../graph/sizes.js';
import type { FeedValue, HostTensor, Program, Signature, VariableSpec } from './types.js';

/** The signature of that name. @throws EngineError `unknown_signature`. */
export function signatureOf(program: Program, name: string): Signature {
  const signature = program.signatures[name];
  if (signature !== undefined) return signature;
  throw new EngineError(
    'unknown_signature',
    `The program has no signature '${name}'.`,
    `It has ${Object.keys(program.signatures).join(', ')}; all are named when the program is compiled.`,
  );
}

/** The variable of that name. @throws EngineError `bad_feed`. */
export function variableOf(program: Program, name: string): VariableSpec {
  const variable = program.variables.get(name);
  if (variable !== undefined) return variable;
  throw new EngineError('bad_feed', `The program has no variable '${name}'.`, 'Name a variable that was declared.');
}

/** Checks that a call gives every feed, no other, each with the right number of values of the right type. */
export function checkFeeds(name: string, signature: Signature, values: Readonly<Record<string, FeedValue>>): void {
  for (const key of Object.keys(values)) {
    if (!(key in signature.feeds)) throw badFeed(name, `it takes no feed '${key}'`, signature);
  }
  for (const [key, { shape, dtype }] of Object.entries(signature.feeds)) {
    const value = values[key];
    if (value === undefined) throw badFeed(name, `feed '${key}' is missing`, signature);
    const count = typeof value === 'number' ? 1 : value.length;
    if (count !== sizeOf(shape)) {
      throw badFeed(name, `feed '${key}' has ${count} values, [${shape.join(', ')}] needs ${sizeOf(shape)}`, signature);
    }
    if (typeof value !== 'number' && value instanceof Int32Array !== (dtype === 'int32')) {
      throw badFeed(name, `feed '${key}' is a ${value.constructor.name}, it needs ${dtype}`, signature);
    }
  }
}

/** Checks that a signature has the outputs that are wanted of it. @throws EngineError `unknown_output`. */
export function checkWanted(name: string, outputs: readonly string[], wanted: readonly string[]): void {
  const unknown = wanted.find((key) => !outputs.includes(key));
  if (unknown === undefined) return;
  throw new EngineError(
    'unknown_output',
    `Signature '${name}' has no output '${unknown}'.`,
    `It has ${outputs.join(', ') || 'none'}.`,
  );
}

/** Checks a tensor that is to be written into a variable. */
export function checkWrite(program: Program, name: string, { shape, data }: HostTensor): void {
  const variable = variableOf(program, name);
  if (shape.join() === variable.shape.join() && data.length === sizeOf(shape)) return;
  throw new EngineError(
    'bad_feed',
    `Variable '${name}' has shape [${variable.shape.join(', ')}], it was given [${shape.join(', ')}] with ${data.length} values.`,
    'Write a tensor of the same shape.',
  );
}

function badFeed(name: string, problem: string, { feeds }: Signature): EngineError {
  const wanted = Object.entries(feeds).map(([key, { shape, dtype }]) => `${key} ${dtype} [${shape.join(', ')}]`);
  return new EngineError('bad_feed', `Signature '${name}': ${problem}.`, `It takes ${wanted.join('; ')}.`);
}
