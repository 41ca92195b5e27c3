import { AppError, IGNORED } from '@moraine/contract';
import { toJson } from '../jinja/values.js';
import { labelRow } from '../label-row.js';
import type { ChatRow } from '../row.js';
import type { TextTokenizer } from '../tokenizer.js';
import { type CallForm, readJson } from './call-form.js';
import { bareJson, fencedJson, listedJson, taggedJson } from './json-calls.js';
import { decoderFor, readAnswer } from './read-answer.js';
import { keyedValues, namedValues } from './value-calls.js';

export const CALL_FORMS: readonly CallForm[] = [taggedJson, listedJson, bareJson, fencedJson, keyedValues, namedValues];

/** Arguments that are written as one JSON text are found again. */
const MARKED = '{"probe": 7310}';
const MARKED_TEXT = /\{\s*"probe"\s*:\s*7310\s*\}/;
const ARGUMENTS =
  '{"words": "it\'s \\"so\\"\\n<b>", "count": 12, "share": 1.0, "list": [true, null], "of": {"b": 1, "a": 2}}';
const kind = (type: string) => ({ type, description: type });
const TOOLS = [
  {
    type: 'function',
    function: {
      name: 'probe_it',
      description: 'Probes.',
      parameters: {
        type: 'object',
        properties: {
          ...{ words: kind('string'), count: kind('integer'), share: kind('number'), list: kind('array') },
          of: kind('object'),
        },
        required: ['words'],
      },
    },
  },
];
/** A training row with one call. */
const rowWith = (name: string, given: string): ChatRow => ({
  format: 'chat',
  messages: [
    { role: 'user', content: 'Probe.' },
    {
      role: 'assistant',
      content: null,
      tool_calls: [{ id: 'call00001', type: 'function', function: { name, arguments: given } }],
    },
  ],
  tools: TOOLS,
});

const known = new WeakMap<TextTokenizer, CallForm | null>();

/** In which form a base's template writes calls: the one that reads what a training row with a call is learned as; null where none does. */
export function findCallForm(tokenizer: TextTokenizer): CallForm | null {
  const before = known.get(tokenizer);
  if (before !== undefined) return before;
  const learned = learnedTokens(tokenizer, rowWith('probe_it', ARGUMENTS));
  const found = learned === null ? null : (CALL_FORMS.find((form) => readsProbe(form, tokenizer, learned)) ?? null);
  known.set(tokenizer, found);
  return found;
}

/** What a template writes before and behind the arguments of a call. */
export interface CallFrame {
  before: string;
  behind: string;
}

/** The answer that is one call of a tool, around its arguments; null where the template does not write them as one JSON text. */
export function frameOfCall(tokenizer: TextTokenizer, form: CallForm, name: string): CallFrame | null {
  const learned = learnedTokens(tokenizer, rowWith(name, MARKED));
  const text = learned === null ? '' : decoderFor(tokenizer, form)(learned);
  const found = MARKED_TEXT.exec(text);
  return found === null
    ? null
    : { before: text.slice(0, found.index), behind: text.slice(found.index + found[0].length) };
}

/** What is learned of a row, without end tokens; null where the template takes no such row. */
function learnedTokens(tokenizer: TextTokenizer, probe: ChatRow): number[] | null {
  try {
    const [row] = labelRow(probe, tokenizer);
    return row?.labels.filter((id) => id !== IGNORED && !tokenizer.eosIds.includes(id)) ?? null;
  } catch (error) {
    if (error instanceof AppError) return null;
    throw error;
  }
}

function readsProbe(form: CallForm, tokenizer: TextTokenizer, learned: readonly number[]): boolean {
  const { calls } = readAnswer(form, decoderFor(tokenizer, form)(learned), TOOLS, { isWhole: true });
  const [call] = calls;
  return calls.length === 1 && call?.name === 'probe_it' && isSame(call.arguments, ARGUMENTS);
}

function isSame(a: string, b: string): boolean {
  const [one, other] = [readJson(a), readJson(b)];
  return one !== undefined && other !== undefined && toJson(one) === toJson(other);
}
