import { Float, toJson, type Value } from '../jinja/values.js';
import { beginOfMark, type CallForm, type ReadCall, readEnclosed, readJson, type ToolDefinition } from './call-form.js';

// Forms that write each argument as a text of its own. What kind of value it is, only the tool's definition says.

const TAGS = { open: '<tool_call>', close: '</tool_call>' };

/** `<tool_call>name <arg_key>key</arg_key> <arg_value>value</arg_value> … </tool_call>`: GLM-4.5 and later. */
export const keyedValues: CallForm = valuesForm({
  name: 'keys and values in <tool_call>',
  inner: ['<arg_key>', '</arg_key>', '<arg_value>', '</arg_value>'],
  call: /^\s*([^\s<]+)\s*((?:<arg_key>[\s\S]*<\/arg_value>)?)\s*$/,
  argument: /<arg_key>([\s\S]*?)<\/arg_key>\s*<arg_value>([\s\S]*?)<\/arg_value>\s*/gy,
});

/** `<tool_call> <function=name> <parameter=key> value </parameter> … </function> </tool_call>`: Qwen3-Coder and later, Nemotron 3. */
export const namedValues: CallForm = valuesForm({
  name: 'parameters in <function=…>',
  inner: [],
  call: /^\s*<function=([^>\n]+)>\s*([\s\S]*?)\s*<\/function>\s*$/,
  argument: /<parameter=([^>\n]+)>\n?([\s\S]*?)\n?<\/parameter>\s*/gy,
});

interface ValuesForm {
  name: string;
  inner: readonly string[];
  /** The name, and what the arguments are read from. */
  call: RegExp;
  /** A key and its value; sticky, so that nothing between two is passed over. */
  argument: RegExp;
}

function valuesForm({ name, inner, call, argument }: ValuesForm): CallForm {
  const read = (text: string, tools: readonly ToolDefinition[]): ReadCall | null => {
    const [, called, list] = call.exec(text) ?? [];
    if (called === undefined || list === undefined) return null;
    const found = [...list.matchAll(argument)];
    if (found.reduce((length, [one]) => length + one.length, 0) !== list.length) return null;
    const kindOf = kindsOf(tools, called);
    const values = new Map<Value, Value>(
      found.map(([, key = '', value = '']) => [key, typedValue(value, kindOf(key))] as const),
    );
    return { name: called, arguments: toJson(values) };
  };
  return {
    name,
    marks: [TAGS.open, TAGS.close, ...inner],
    beginOf: (text, isWhole) => beginOfMark(text, TAGS.open, isWhole),
    readCalls: (text, tools, isWhole) => readEnclosed(text, TAGS, isWhole, (one) => read(one, tools)),
  };
}

const PYTHON_WORDS: Readonly<Record<string, Value>> = { True: true, False: false, None: null };

/** A value of a kind: texts as they are, anything else as JSON, or as Python writes it, where it is that. */
function typedValue(text: string, kind: unknown): Value {
  if (kind === 'string') return text;
  const word = PYTHON_WORDS[text.trim()];
  if (word !== undefined) return word;
  return readJson(text) ?? text;
}

/** What kind of value each argument of a tool is, by its definition; undefined where that does not say. */
function kindsOf(tools: readonly ToolDefinition[], name: string): (key: string) => unknown {
  const tool = tools.map((one) => at(one, 'function')).find((one) => at(one, 'name') === name);
  const properties = at(at(tool, 'parameters'), 'properties');
  return (key) => at(at(properties, key), 'type');
}

/** A key of an object, read exactly or not. */
function at(value: unknown, key: string): unknown {
  if (value instanceof Map) return value.get(key);
  if (typeof value !== 'object' || value === null || value instanceof Float) return undefined;
  return Object.hasOwn(value, key) ? (value as Record<string, unknown>)[key] : undefined;
}
