import { toValue } from './chat-template.js';
import { readExact } from './exact-json.js';
import { Float, floatText, JSON_PLAIN, toJson, type Value } from './jinja/values.js';
import { isObject, type Json } from './row-problem.js';

/** A form of training rows of other tools, known by its keys. */
export interface ForeignForm {
  name: string;
  /** Why such rows cannot be learned from here; null where they can be converted. */
  refusal: string | null;
  /** The keys that a row of it cannot do without. */
  needs: readonly string[];
  /** A key that no row of it has, not even as null: such are of another form. */
  lacks?: string;
}

const PREFERENCES =
  'that are ranked; here a row shows one answer to learn. Keep the preferred one as {"messages": [...]}.';
const PAIRS = [
  ['question', 'answer'],
  ['query', 'response'],
  ['prompt', 'response'],
  ['prompt', 'answer'],
] as const;

/** The first that a row has is its form. */
const FORMS: readonly ForeignForm[] = [
  { name: 'DPO (preferences)', refusal: PREFERENCES, needs: ['preferred_output'] },
  { name: 'DPO (preferences)', refusal: PREFERENCES, needs: ['chosen', 'rejected'] },
  { name: 'KTO (rated answers)', refusal: PREFERENCES, needs: ['completion', 'label'] },
  { name: 'ShareGPT', refusal: null, needs: ['conversations'] },
  { name: 'ShareGPT', refusal: null, needs: ['conversation'] },
  { name: 'Alpaca', refusal: null, needs: ['instruction', 'output'] },
  { name: 'Dolly', refusal: null, needs: ['instruction', 'response'] },
  ...PAIRS.map((needs) => ({ name: 'question and answer', refusal: null, needs })),
  // With an instruction that is null, it is half of an Alpaca row.
  { name: 'question and answer', refusal: null, needs: ['input', 'output'], lacks: 'instruction' },
];

/** What a key must hold beside its name to say what a row is. */
const HOLDS: Record<string, (value: unknown) => boolean> = {
  label: (value) => typeof value === 'boolean',
  conversations: Array.isArray,
  conversation: Array.isArray,
};

/** Our own forms: the keys that a row of one cannot do without, and all that it may have. */
export const OURS = [
  { needs: ['messages'], keys: ['messages', 'tools', 'parallel_tool_calls'] },
  { needs: ['prompt', 'completion'], keys: ['prompt', 'completion'] },
  { needs: ['text'], keys: ['text'] },
] as const;

/**
 * The form of another tool that a row has; null where it is a whole row of ours, or none is known. In the rows of merged tables the keys of other
 * forms are null: the first form that is whole counts, and only where none is, ours neither, the first that has some of its keys.
 */
export const foreignForm = (value: Json): ForeignForm | null =>
  wholeForm(value) ?? (OURS.some(({ needs }) => isWhole(needs, value)) ? null : partialForm(value));

const wholeForm = (value: Json): ForeignForm | null =>
  FORMS.find((form) => hasKeys(form, value) && isWhole(form.needs, value)) ?? null;

const partialForm = (value: Json): ForeignForm | null =>
  FORMS.find((form) => hasKeys(form, value) && missingKeys(form.needs, value).length < form.needs.length) ?? null;

const hasKeys = ({ needs, lacks }: ForeignForm, value: Json): boolean =>
  needs.every((key) => key in value && (HOLDS[key]?.(value[key]) ?? true)) &&
  (lacks === undefined || !(lacks in value));

/** Whether a row has something at each of some keys. */
export const isWhole = (keys: readonly string[], value: Json): boolean => missingKeys(keys, value).length === 0;

/** Those of some keys that a row has not, or null at. */
export const missingKeys = (keys: readonly string[], value: Json): string[] =>
  keys.filter((key) => value[key] === undefined || value[key] === null);

const SPEAKERS: Record<string, string> = {
  human: 'user',
  user: 'user',
  gpt: 'assistant',
  chatgpt: 'assistant',
  bing: 'assistant',
  bard: 'assistant',
  model: 'assistant',
  assistant: 'assistant',
  system: 'system',
  tool: 'tool',
  observation: 'tool',
  function_response: 'tool',
};

/** Turns that call tools, as a JSON text of one call or a list. */
const CALLERS = ['function_call', 'tool_call'];

/** JSON in one line, numbers and the order of keys as they were read. */
export const writeExact = (value: unknown): string => toJson(toValue(value), { ...JSON_PLAIN, separators: [',', ':'] });

/** An object by its keys, the values in it exact; anything else as it is. */
export const byKey = (value: unknown): unknown => (value instanceof Map ? (Object.fromEntries(value) as Json) : value);

/** A row as one of ours. */
export interface Conversion {
  /** As a line of JSON. */
  text: string;
  /** Its keys that the row holds; what others hold is left out. */
  used: readonly string[];
  /** What became of them, in words. */
  how: string;
}

/** The row as one of ours; null where its form is not known, a key of it is missing or a part has no place here. Numbers may be exact. */
export function convertRow(row: unknown): Conversion | null {
  const value = byKey(toValue(row));
  if (!isObject(value)) return null;
  const form = wholeForm(value);
  if (form === null || form.refusal !== null) return null;
  switch (form.name) {
    case 'ShareGPT':
      return convertConversation(value);
    case 'Alpaca':
      return converse(value, { system: 'system', asked: 'instruction', input: 'input', answered: 'output' });
    case 'Dolly':
      return converse(value, { system: 'system', asked: 'instruction', input: 'context', answered: 'response' });
    default: {
      const [asked = '', answered = ''] = form.needs;
      const [prompt, completion] = [textOf(value[asked]), textOf(value[answered])];
      if (prompt === null || completion === null) return null;
      const how = `'${asked}' is the prompt, '${answered}' the completion`;
      return { text: writeExact({ prompt, completion }), used: [asked, answered], how };
    }
  }
}

/** A value as text: numbers are written out, nothing is an empty text; null for what is none. */
function textOf(value: unknown): string | null {
  if (value === undefined || value === null) return '';
  if (value instanceof Float) return value.text ?? floatText(value.value);
  if (typeof value === 'bigint' || typeof value === 'boolean') return String(value);
  return typeof value === 'string' ? value : null;
}

function converse(value: Json, keys: Record<'system' | 'asked' | 'input' | 'answered', string>): Conversion | null {
  const [system, asked, input, answered] = [keys.system, keys.asked, keys.input, keys.answered].map((key) =>
    textOf(value[key]),
  );
  if (system == null || asked == null || input == null || answered == null) return null;
  const lead = system === '' ? [] : [{ role: 'system', content: system }];
  const content = input === '' ? asked : `${asked}\n\n${input}`;
  return {
    text: writeExact({ messages: [...lead, { role: 'user', content }, { role: 'assistant', content: answered }] }),
    used: Object.values(keys),
    how: `'${keys.asked}' and '${keys.input}' are the user's message, '${keys.answered}' is the assistant's`,
  };
}

function convertConversation(value: Json): Conversion | null {
  const key = Array.isArray(value.conversations) ? 'conversations' : 'conversation';
  const turns = value[key];
  const system = textOf(value.system);
  const tools = convertTools(value.tools);
  if (!Array.isArray(turns) || system === null || tools === null) return null;
  const messages: Json[] = system === '' ? [] : [{ role: 'system', content: system }];
  // Results come in the order of the calls before them.
  let open: string[] = [];
  for (const turn of turns) {
    const said = byKey(turn);
    const message = isObject(said) ? convertTurn(said, messages.length) : null;
    if (message === null) return null;
    if (message.role === 'tool') {
      const id = open.shift();
      if (id !== undefined) message.tool_call_id = id;
    } else open = idsOfCalls(message);
    messages.push(message);
  }
  return {
    text: writeExact({ messages, ...(tools.length > 0 && { tools }) }),
    used: [key, 'system', 'tools'],
    how: `'${key}' are the messages: human is the user, gpt the assistant`,
  };
}

const idsOfCalls = ({ tool_calls }: Json): string[] =>
  Array.isArray(tool_calls) ? tool_calls.map(({ id }: { id: string }) => id) : [];

function convertTurn(turn: Json, place: number): Json | null {
  const speaker = textOf(turn.from ?? turn.role)?.toLowerCase() ?? '';
  const content = turn.value ?? turn.content;
  if (typeof content !== 'string') return null;
  if (CALLERS.includes(speaker)) return convertCalls(content, place);
  const role = SPEAKERS[speaker];
  return role === undefined ? null : { role, content };
}

/** `{"name": …, "arguments": …}`, or a list of such, as calls; numbers and the order of keys stay as they are written. */
function convertCalls(text: string, place: number): Json | null {
  const calls = [parsedExact(text)].flat();
  const tool_calls = calls.map((call, i) => {
    const name = call instanceof Map ? call.get('name') : null;
    if (!(call instanceof Map) || typeof name !== 'string') return null;
    const given = call.get('arguments') ?? new Map();
    const written = typeof given === 'string' ? given : writeExact(given);
    return { id: `call_${place}${i === 0 ? '' : `_${i}`}`, type: 'function', function: { name, arguments: written } };
  });
  return tool_calls.includes(null) ? null : { role: 'assistant', content: null, tool_calls };
}

/** Null where the text is no JSON, or nested too deep. */
function parsedExact(text: string): Value {
  try {
    JSON.parse(text);
    return readExact(text).value;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof RangeError) return null;
    throw error;
  }
}

/** Tool definitions, a list or its JSON text, with and without the frame of OpenAI's; null where they are none. */
function convertTools(value: unknown): unknown[] | null {
  const tools = typeof value === 'string' && value.trim() !== '' ? parsedExact(value) : (value ?? []);
  if (tools === '') return [];
  if (!Array.isArray(tools) || !tools.every((tool) => tool instanceof Map)) return null;
  return tools.map((tool: Value) =>
    tool instanceof Map && tool.has('function') ? tool : { type: 'function', function: tool },
  );
}
