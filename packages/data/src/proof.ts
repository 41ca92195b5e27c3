import { parsedArguments, toValue } from './chat-template.js';
import { Float, type Value } from './jinja/values.js';
import type { ChatMessage } from './row.js';

/** How much of an answer a text holds: all of it, all but its reasoning, or not even its words or calls. */
export type Written = 'whole' | 'without_reasoning' | 'no';

/** Templates may set white space, as Python knows it, otherwise; nothing else. */
export const squeeze = (text: string): string => text.replace(SPACES, '');

// biome-ignore lint/suspicious/noControlCharactersInRegex: separators are white space to Python
const SPACES = /[\s\u0085\u001c-\u001f]+/g;

/** Whether the text that is to be learned holds the answer: its words, its calls with every argument, its reasoning. */
export function proveWritten(answer: ChatMessage, learned: string): Written {
  const text = squeeze(learned);
  const holds = (part: string): boolean => text.includes(squeeze(part));
  const spellings = spellingsOf(learned);
  const holdsLeaf = (leaf: string): boolean => spellings.some((spelling) => spelling.includes(squeeze(leaf)));
  if (!(answer.tool_calls ?? []).every((call) => holdsCall(toValue(call), holdsLeaf))) return 'no';
  const reasonings = [answer.reasoning_content, answer.reasoning, answer.thinking];
  const isReasoned = reasonings.every((reasoning) => holds(reasoning ?? ''));
  const content = answer.content ?? '';
  if (holds(content)) return isReasoned ? 'whole' : 'without_reasoning';
  const [, afterThought] = /<\/think>([\s\S]*)$/.exec(content) ?? [];
  return afterThought !== undefined && holds(afterThought) ? 'without_reasoning' : 'no';
}

function holdsCall(call: Value, holds: (part: string) => boolean): boolean {
  if (!(call instanceof Map)) return true;
  const called = call.get('function');
  if (called instanceof Map) return holdsCall(called, holds);
  const name = call.get('name');
  const given = call.get('arguments');
  const values = typeof given === 'string' ? (parsedArguments(given) ?? given) : (given ?? null);
  return (typeof name !== 'string' || holds(name)) && leavesOf(values).every(holds);
}

/** The texts and numbers of a value, keys among them. */
function leavesOf(value: Value): string[] {
  if (typeof value === 'string') return [value];
  // `true`, `True`.
  if (typeof value === 'boolean') return [value ? 'rue' : 'alse'];
  if (typeof value === 'bigint') return [String(value)];
  if (value instanceof Float) return [value.text ?? String(value.value)];
  if (Array.isArray(value)) return value.flatMap(leavesOf);
  return value instanceof Map ? [...value].flat().flatMap(leavesOf) : [];
}

/** A text as it is, and read as the inside of JSON's, Python's or another language's text, once and twice: `\\n`, `\\'`, `\\u00e9`. */
function spellingsOf(text: string): string[] {
  if (!text.includes('\\')) return [squeeze(text)];
  const once = readEscapes(text);
  return [text, once, readEscapes(once)].map(squeeze);
}

const CONTROLS: Record<string, string> = { n: '\n', r: '\r', t: '\t', b: '\b', f: '\f' };

const readEscapes = (text: string): string =>
  text.replaceAll(
    /\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))/gs,
    (_all, four?: string, two?: string, letter = '') => {
      const code = four ?? two;
      return code === undefined ? (CONTROLS[letter] ?? letter) : String.fromCharCode(Number.parseInt(code, 16));
    },
  );
