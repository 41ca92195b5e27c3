import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** A template of `templates/` with the special tokens that it is used with. */
export interface TemplateCase {
  name: string;
  like: string;
  bos?: string;
  eos: string;
  /** End tokens besides `eos`. */
  eosAlso?: string[];
  /** How calls' arguments, which a file holds as texts, are given to the template; absent where it writes no calls. */
  calls?: 'text' | 'object';
  /** Of a template that others wrote: what its `{% generation %}` blocks begin with that the generation prompt brings already. */
  opening?: string[];
  /** It has no `{% generation %}` blocks. */
  isUnmarked?: true;
}

const all = JSON.parse(readFileSync(join(import.meta.dirname, 'templates.json'), 'utf8')) as TemplateCase[];
/** Those that generated conversations are labelled with. */
export const TEMPLATES = all.filter(({ isUnmarked }) => isUnmarked !== true);
/** Those that models come with. */
export const MODELS = all.filter(({ opening }) => opening !== undefined);
export const templateOf = ({ name }: TemplateCase): string =>
  readFileSync(join(import.meta.dirname, 'templates', `${name}.jinja`), 'utf8');

/** How many conversations the test compares, and the hashes of what transformers makes of them, a line each. */
export const HASHED = 2000;
export const FIXTURE = join(import.meta.dirname, 'fixtures/hashes.txt');

/** The day that templates take for today. */
export const DAY = '2026-03-05';

const SPECIALS = [
  ...['<s>', '</s>', '<|begin_of_text|>', '<|start_header_id|>', '<|end_header_id|>', '<|eot_id|>', '<|eom_id|>'],
  ...['<|im_start|>', '<|im_end|>', '<|User|>', '<|Assistant|>', '<|calls_begin|>', '<|call_begin|>', '<|call_end|>'],
  ...['<|calls_end|>', '<|sep|>', '<|output_begin|>', '<|output_end|>', '<start_of_turn>', '<end_of_turn>', '<|call|>'],
  ...['<|system|>', '[INST]', '[/INST]', '[TOOL_CALLS]'],
];
/** Of the templates of models. */
const MARKS_OF_MODELS = /<\|[^|>\s]+\|>|<｜[^｜>\s]+｜>|<(?:start|end)_of_turn>|<bos>|<sop>|\[gMASK\]/g;
const NOT_SPECIAL = ['<think>', '</think>', '<tool_call>', '</tool_call>'];

interface Tokenizer {
  added_tokens: { id: number; content: string }[];
  model: { vocab: object };
}

/** The special tokens that the templates write and the example base has not. */
function newMarks(known: readonly string[]): string[] {
  const found = MODELS.flatMap((one) => [...(templateOf(one).match(MARKS_OF_MODELS) ?? []), one.eos, one.bos ?? '']);
  return [...new Set([...SPECIALS, ...found])].filter((mark) => mark !== '' && !known.includes(mark));
}

/** Writes one folder for each template: the tokenizer of the example base with the special tokens of all templates. */
export function writeBases(into: string): void {
  const base = resolve(import.meta.dirname, '../../examples/base/tokenizer.json');
  const tokenizer = JSON.parse(readFileSync(base, 'utf8')) as Tokenizer;
  const first = Object.keys(tokenizer.model.vocab).length;
  const special = newMarks(tokenizer.added_tokens.map(({ content }) => content));
  const added = [...special, ...NOT_SPECIAL].map((content, i) => ({
    id: first + i,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: i < special.length,
  }));
  const json = JSON.stringify({ ...tokenizer, added_tokens: [...tokenizer.added_tokens, ...added] });
  const tokens = [...tokenizer.added_tokens, ...added];
  const idOf = (text: string): number | undefined => tokens.find(({ content }) => content === text)?.id;
  for (const template of all) {
    const dir = join(into, template.name);
    mkdirSync(dir, { recursive: true });
    const { bos, eos, eosAlso = [] } = template;
    writeFileSync(join(dir, 'tokenizer.json'), json);
    const config = { tokenizer_class: 'PreTrainedTokenizerFast', eos_token: eos, ...(bos ? { bos_token: bos } : {}) };
    writeFileSync(join(dir, 'tokenizer_config.json'), JSON.stringify(config));
    writeFileSync(join(dir, 'generation_config.json'), JSON.stringify({ eos_token_id: eosAlso.map(idOf) }));
    writeFileSync(join(dir, 'chat_template.jinja'), templateOf(template));
  }
}

export interface Conversation {
  template: TemplateCase;
  /** A line of a training file. */
  line: string;
}

/** The conversation of a number: which template it is for, and its row. The same number gives the same one. */
export function conversationOf(number: number): Conversation {
  const random = createRandom(number);
  const template = TEMPLATES[number % TEMPLATES.length] as TemplateCase;
  return { template, line: JSON.stringify(row(template, random)) };
}

type Random = () => number;

/** mulberry32. */
function createRandom(seed: number): Random {
  let state = (seed * 0x9e3779b1 + 0x85ebca6b) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const pick = <T>(random: Random, from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
const isAt = (random: Random, share: number): boolean => random() < share;

const WORDS = [
  'cup',
  'Bo',
  'the',
  'record',
  'Été',
  '水',
  '12',
  '3.50',
  'naïve',
  'a',
  'I',
  '—',
  '😀',
  'don’t',
  'x=1;',
  '{"k": 1}',
];
const SPACES = [
  ' ',
  ' ',
  ' ',
  ' ',
  ' ',
  '\n',
  '\n\n',
  '  ',
  '\t',
  '\u0085',
  '\u00a0',
  '\ufeff',
  '\u2028',
  '\u001c',
  '\u200b',
  '\r\n',
];
const MARKS = [
  '<|im_end|>',
  '</s>',
  '<|end|>',
  '<think>',
  '[INST]',
  '<|user|>',
  '<|eot_id|>',
  '<tool_response>',
  '%s',
  '{{ x }}',
  '<',
];

function text(random: Random): string {
  const count = isAt(random, 0.03) ? 200 + Math.floor(random() * 300) : 1 + Math.floor(random() * 12);
  const edge = (): string => (isAt(random, 0.2) ? pick(random, SPACES) : '');
  const parts = Array.from({ length: count }, (_, i) => {
    const word = isAt(random, 0.02) ? pick(random, MARKS) : pick(random, WORDS);
    return i === 0 ? word : pick(random, SPACES) + word;
  });
  return edge() + parts.join('') + edge();
}

type Json = Record<string, unknown>;

/** A row as a file holds it: one answer at least. */
function row(template: TemplateCase, random: Random): Json {
  const messages: Json[] = isAt(random, 0.3) ? [{ role: 'system', content: text(random) }] : [];
  const callsTools = template.calls !== undefined && isAt(random, 0.5);
  const exchanges = isAt(random, 0.05) ? 12 : 1 + Math.floor(random() * 4);
  for (let i = 0; i < exchanges; i += 1) {
    messages.push({ role: 'user', content: isAt(random, 0.04) ? '' : text(random) });
    if (callsTools && isAt(random, 0.6)) messages.push(...toolTurns(random));
    messages.push(answer(template, random));
  }
  if (isAt(random, 0.05)) messages.push({ role: 'user', content: text(random) });
  if (isAt(random, 0.03))
    messages.splice(1, 0, { role: pick(random, ['user', 'tool', 'assistant']), content: text(random) });
  // Answers that nobody asks for: before the first question, or behind another one.
  if (isAt(random, 0.05)) messages.splice(messages[0]?.role === 'system' ? 1 : 0, 0, answer(template, random));
  if (isAt(random, 0.05)) messages.splice(messages.length, 0, answer(template, random));
  if (!messages.some(({ role, weight }) => role === 'assistant' && weight !== 0))
    messages.push({ role: 'assistant', content: 'yes' });
  return { messages, ...(callsTools ? { tools: [tool('weather'), tool('delete_message')] } : {}) };
}

function answer({ name }: TemplateCase, random: Random): Json {
  const made: Json = { role: 'assistant', content: text(random) };
  const kind = random();
  if (kind < 0.15) made.content = `<think>\n${text(random)}\n</think>\n\n${text(random)}`;
  else if (kind < 0.3) made[name === 'macros' ? 'thinking' : 'reasoning_content'] = text(random);
  if (isAt(random, 0.1)) made.weight = pick(random, [0, 1]);
  return made;
}

function toolTurns(random: Random): Json[] {
  const count = isAt(random, 0.05) ? 2 : 1;
  const calls = Array.from({ length: count }, (_, i) => ({
    id: `call0000${i}`,
    type: 'function',
    function: { name: pick(random, ['weather', 'delete_message']), arguments: argumentsText(random) },
  }));
  const content = isAt(random, 0.7)
    ? { content: null }
    : isAt(random, 0.5)
      ? { content: text(random) }
      : { content: '' };
  const answers = calls.map(({ id }) => ({ role: 'tool', tool_call_id: id, content: text(random) }));
  return [{ role: 'assistant', ...content, tool_calls: calls }, ...answers];
}

/** A JSON text as Python writes it, with what a round trip through JavaScript changes. */
function argumentsText(random: Random): string {
  const values = [
    '1170735493917552650',
    '1.0',
    '0.1',
    '-2.5e-07',
    'true',
    'null',
    '[1, 2.0, "a"]',
    '{"2": 1, "1": {}}',
    JSON.stringify(text(random)),
  ];
  const keys = ['city', '10', '2', 'message_id', 'é'];
  const first = Math.floor(random() * keys.length);
  const entries = Array.from({ length: 1 + Math.floor(random() * 3) }, (_, i) => {
    return `${JSON.stringify(keys[(first + i * 3) % keys.length])}: ${pick(random, values)}`;
  });
  return `{${entries.join(', ')}}`;
}

const tool = (name: string): Json => ({
  type: 'function',
  function: {
    name,
    description: 'What it\ndoes',
    parameters: {
      type: 'object',
      properties: { zone: { type: 'string', enum: ['a', 'é'] }, city: { type: 'string' }, n: { type: 'integer' } },
      required: ['city'],
    },
  },
});
