import { explain, isOfMany, VALUES_MAX } from '@moraine/contract';
import { toValue } from './chat-template.js';
import { type ExactJson, readExact } from './exact-json.js';
import type { Value } from './jinja/values.js';
import type { Role } from './row.js';
import { cut, isObject, type Json, readText, refuse, refuseBrokenTexts, show } from './row-problem.js';

const CALL = '{"type": "function", "function": {"name": ..., "arguments": ...}}';
const TOOL = '{"type": "function", "function": {"name": ..., "description": ..., "parameters": {...}}}';
const ARGUMENTS = 'Write an object, or its JSON as a text: {"city": "Rome"}, or {} where there are none.';
/** What stands in a call, or in its function, beside the arguments. */
const CALL_KEYS = ['id', 'type', 'index', 'function', 'name', 'arguments'];

/** What stands for an empty object where it is read as a list or a text: PHP writes none as a list. */
const isEmpty = (value: unknown): boolean =>
  Array.isArray(value) ? value.length === 0 : typeof value === 'string' && /^\s*(\[\s*\])?\s*$/.test(value);

/** The calls of a message as they are written, but with `{}` for the arguments that one lacks; undefined where there are none. */
export function readCalls(
  { tool_calls: calls }: Json,
  role: Role,
  at: string,
  exact: Value | undefined,
): unknown[] | undefined {
  if (calls === undefined || calls === null) return undefined;
  const key = `${at}/tool_calls`;
  if (!Array.isArray(calls)) {
    refuse(key, 'wrong_type', `'tool_calls' is ${show(calls)}, not a list.`, 'Write the calls as a list.');
  }
  if (calls.length === 0) return undefined;
  if (role !== 'assistant') {
    const hint = 'Only assistant messages call tools: remove it.';
    refuse(key, 'invalid_value', `'tool_calls' stands at a ${role} message.`, hint);
  }
  const exactCalls = exact instanceof Map ? exact.get('tool_calls') : undefined;
  const written: readonly unknown[] = Array.isArray(exactCalls) ? exactCalls : calls;
  return calls.map((call: unknown, i) => {
    const hasArguments = checkCall(call, `${key}/${i}`);
    return mended(written[i], hasArguments ? {} : { arguments: '{}' });
  });
}

/** The definitions of tools as they are written, but with an object for parameters that are none; refuses what defines no function. */
export function readTools(tools: readonly unknown[], at: string, exact: readonly Value[] | undefined): unknown[] {
  return tools.map((tool, i) => {
    const hasEmpty = checkTool(tool, `${at}/${i}`);
    return mended((exact ?? tools)[i], hasEmpty ? { parameters: new Map() } : {});
  });
}

/** Whether a tool has parameters that are none and no object; refuses what templates would write without a name. */
function checkTool(tool: unknown, at: string): boolean {
  if (!isObject(tool)) {
    refuse(at, 'wrong_type', `The definition of a tool is ${show(tool)}, not an object.`, `Write ${TOOL}.`);
  }
  const { named, place } = functionOf(tool, at, TOOL);
  const { parameters } = named;
  if (parameters === undefined || parameters === null || isObject(parameters)) return false;
  if (isEmpty(parameters) || (typeof parameters === 'string' && /^\s*\{\s*\}\s*$/.test(parameters))) return true;
  const hint =
    typeof parameters === 'string'
      ? 'Write the object itself, without quotation marks around it: {"type": "object", "properties": {...}}.'
      : 'Write their JSON schema as an object: {"type": "object", "properties": {...}}.';
  return refuse(`${place}/parameters`, 'wrong_type', `'parameters' is ${show(parameters)}, not an object.`, hint);
}

/** Whether a call has arguments; refuses one that calls nothing, or that says with what in a way that templates do not read. */
function checkCall(call: unknown, at: string): boolean {
  if (!isObject(call)) refuse(at, 'wrong_type', `The call is ${show(call)}, not an object.`, `Write ${CALL}.`);
  if (call.id !== undefined && call.id !== null) readText(call, 'id', at);
  const { named, place } = functionOf(call, at, CALL);
  const hasArguments = checkArguments(named.arguments, `${place}/arguments`);
  if (!hasArguments) refuseStrayArguments(call, named, place);
  return hasArguments;
}

/** The object that names the function: the one under `function`, as OpenAI has it, or the whole. */
function functionOf(whole: Json, at: string, form: string): { named: Json; place: string } {
  const { function: inner, type } = whole;
  const isFlat = inner === undefined || inner === null;
  if (isFlat && whole.name === undefined) {
    refuse(`${at}/function`, 'missing_key', "'function' is missing, and with it the name.", `Write ${form}.`);
  }
  const place = isFlat ? at : `${at}/function`;
  const named = isFlat ? whole : inner;
  if (!isObject(named)) refuse(place, 'wrong_type', `'function' is ${show(named)}, not an object.`, `Write ${form}.`);
  if (!isFlat && type !== undefined && type !== null && typeof type !== 'string') {
    refuse(`${at}/type`, 'invalid_value', `'type' is ${show(type)}.`, 'Only functions are called: write "function".');
  }
  if (readText(named, 'name', place).trim() === '') {
    refuse(`${place}/name`, 'empty_value', 'The name of the function is empty.', 'Write the name of the function.');
  }
  return { named, place };
}

function checkArguments(given: unknown, key: string): boolean {
  if (given === undefined || given === null || isEmpty(given)) return false;
  if (typeof given === 'string') return checkWritten(given, key);
  if (isObject(given)) return true;
  return refuse(key, 'wrong_type', `'arguments' is ${show(given)}, not an object.`, ARGUMENTS);
}

/** Arguments as a JSON text: what is wrong in them would be found only when a template reads them, or be learned. */
function checkWritten(text: string, key: string): boolean {
  if (isOfMany(text)) {
    const hint = 'A call has not so many arguments: is this one row?';
    refuse(key, 'invalid_value', `'arguments' holds more than ${VALUES_MAX} values.`, hint);
  }
  const { value, repeated } = parseWritten(text, key);
  if (value === null) return false;
  if (!isObject(value)) refuse(key, 'invalid_value', `'arguments' is ${show(text)}: JSON of no object.`, ARGUMENTS);
  if (repeated !== null) {
    const message = `'arguments' has the key ${show(repeated.split('/').at(-1))} twice in one object.`;
    refuse(cut(`${key}${repeated}`, 200), 'repeated_key', message, 'Keep one of them.');
  }
  refuseBrokenTexts(value, key);
  return true;
}

function parseWritten(text: string, key: string): { value: unknown; repeated: ExactJson['repeated'] } {
  try {
    return { value: JSON.parse(text), repeated: readExact(text).repeated };
  } catch (error) {
    if (error instanceof RangeError)
      refuse(key, 'invalid_value', `In 'arguments', ${explain(error)}.`, 'Write them flatter.');
    const message = `'arguments' is ${show(text)}: no JSON (${cut(explain(error), 200)}).`;
    return refuse(key, 'invalid_json', message, 'Write them as json.dumps or JSON.stringify does.');
  }
}

/** What a call without arguments has under another name, or beside its function, would be lost. Null is nothing, as in tables whose rows share their columns. */
function refuseStrayArguments(call: Json, named: Json, place: string): void {
  const isThere = (value: unknown): boolean => value !== undefined && value !== null && !isEmpty(value);
  const other = Object.keys(named).find((key) => !CALL_KEYS.includes(key) && named[key] !== null);
  const isBeside = call !== named && isThere(call.arguments);
  if (other === undefined && !isBeside) return;
  const hint = isBeside
    ? 'They stand beside the function: write them in it.'
    : `Did you mean them by '${cut(other ?? '', 60)}'? A call without any has {}.`;
  refuse(`${place}/arguments`, 'missing_key', "'arguments' is missing.", hint);
}

/** A call or tool with some keys of its function as they are to be read; and of the type `function`, which templates write, where it says something else. */
function mended(written: unknown, keys: Record<string, Value>): unknown {
  const whole = toValue(written);
  if (!(whole instanceof Map)) return written;
  const called = whole.get('function');
  const isFlat = !(called instanceof Map);
  const type = whole.get('type');
  const hasOtherType = !isFlat && typeof type === 'string' && type !== 'function';
  if (Object.keys(keys).length === 0 && !hasOtherType) return written;
  const named = new Map([...(isFlat ? whole : called), ...Object.entries(keys)]);
  if (isFlat) return named;
  return new Map([...whole, ...(hasOtherType ? ([['type', 'function']] as const) : []), ['function', named]]);
}
