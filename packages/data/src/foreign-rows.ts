import { isObject, type Json } from './row-problem.js';

/** A form of training rows of other tools, known by its keys. */
export interface ForeignForm {
  name: string;
  /** Why such rows cannot be learned from here; null where they can be converted. */
  refusal: string | null;
}

const has = (value: Json, ...keys: string[]): boolean => keys.every((key) => key in value);

const CONVERTED = (name: string): ForeignForm => ({ name, refusal: null });
const PREFERENCES =
  'that are ranked; here a row shows one answer to learn. Keep the preferred one as {"messages": [...]}.';

/** The form of another tool that a row has; null where none is known. */
export function foreignForm(value: Json): ForeignForm | null {
  if (has(value, 'preferred_output') || has(value, 'chosen', 'rejected')) {
    return { name: 'DPO (preferences)', refusal: PREFERENCES };
  }
  if (has(value, 'completion', 'label') && typeof value.label === 'boolean') {
    return { name: 'KTO (rated answers)', refusal: PREFERENCES };
  }
  if (['conversations', 'conversation'].some((key) => Array.isArray(value[key]))) return CONVERTED('ShareGPT');
  if (has(value, 'instruction', 'output')) return CONVERTED('Alpaca');
  if (has(value, 'instruction', 'response')) return CONVERTED('Dolly');
  if (PAIRS.some(([asked, answered]) => has(value, asked, answered))) return CONVERTED('question and answer');
  return null;
}

const PAIRS = [
  ['question', 'answer'],
  ['query', 'response'],
  ['prompt', 'response'],
  ['prompt', 'answer'],
  ['input', 'output'],
] as const;

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

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

/** The row as one of ours; null where its form is not known or a part of it has no place here. */
export function convertRow(value: unknown): Json | null {
  if (!isObject(value)) return null;
  const form = foreignForm(value);
  if (form === null || form.refusal !== null) return null;
  switch (form.name) {
    case 'ShareGPT':
      return convertConversation(value);
    case 'Alpaca':
      return converse(textOf(value.system), withInput(value.instruction, value.input), textOf(value.output));
    case 'Dolly':
      return converse('', withInput(value.instruction, value.context), textOf(value.response));
    default: {
      const [asked, answered] = PAIRS.find(([question, answer]) => has(value, question, answer)) ?? PAIRS[0];
      return { prompt: textOf(value[asked]), completion: textOf(value[answered]) };
    }
  }
}

const withInput = (instruction: unknown, input: unknown): string =>
  textOf(input) === '' ? textOf(instruction) : `${textOf(instruction)}\n\n${textOf(input)}`;

function converse(system: string, user: string, assistant: string): Json {
  const lead = system === '' ? [] : [{ role: 'system', content: system }];
  return { messages: [...lead, { role: 'user', content: user }, { role: 'assistant', content: assistant }] };
}

function convertConversation(value: Json): Json | null {
  const turns: unknown[] = [value.conversations, value.conversation].find(Array.isArray) ?? [];
  const messages = turns.map((turn) => {
    if (!isObject(turn)) return null;
    const role = SPEAKERS[textOf(turn.from ?? turn.role).toLowerCase()];
    const content = turn.value ?? turn.content;
    return role === undefined || typeof content !== 'string' ? null : { role, content };
  });
  if (messages.includes(null)) return null;
  const system = textOf(value.system);
  return { messages: system === '' ? messages : [{ role: 'system', content: system }, ...messages] };
}
