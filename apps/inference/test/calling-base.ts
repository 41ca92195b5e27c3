import { cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BASE } from './random-adapter.js';

/** A whole call as one token of `writeCallingBase`, in place of the last one of the vocabulary, so that a bias makes the model say it. */
export const CALL_TEXT = '<tool_call>\n{"name": "look", "arguments": {"at": 1.0}}\n</tool_call>';
export const CALL_ID = 1023;

/** Only the template for tools writes them. */
const TOOLS = "{%- for tool in tools -%}{{- (tool.function | tojson) + '\\n' -}}{%- endfor -%}";

const TEMPLATE = [
  TOOLS,
  '{%- for message in messages -%}',
  "{%- if message.role == 'system' -%}{{- message.content + '\\n' -}}",
  "{%- elif message.role == 'user' -%}{{- '<|user|>' + message.content -}}",
  "{%- elif message.role == 'tool' -%}{{- '<|user|>= ' + message.content -}}",
  "{%- else -%}{{- '<|assistant|>' + (message.content or '') -}}",
  '{%- for call in message.tool_calls or [] -%}',
  '{{- \'<tool_call>\\n{"name": "\' + call.function.name + \'", "arguments": \' + (call.function.arguments | tojson) -}}',
  "{{- '}\\n</tool_call>' -}}",
  "{%- endfor -%}{{- '<|end|>' -}}{%- endif -%}",
  "{%- endfor -%}{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}",
].join('');

interface TokenizerJson {
  added_tokens: object[];
  model: { vocab: Record<string, number>; merges: string[] };
}

/** The shipped base with two templates, of which one writes tools and both write calls, and with `CALL_TEXT` as a token. Its weights are the same. */
export function writeCallingBase(): string {
  const dir = mkdtempSync(join(tmpdir(), 'moraine-base-'));
  cpSync(BASE, dir, { recursive: true });
  const change = <T>(name: string, to: (json: T) => object): void => {
    const file = join(dir, name);
    writeFileSync(file, JSON.stringify(to(JSON.parse(readFileSync(file, 'utf8')) as T)));
  };
  const chat_template = [
    { name: 'default', template: TEMPLATE.slice(TOOLS.length) },
    { name: 'tool_use', template: TEMPLATE },
  ];
  change<object>('tokenizer_config.json', (config) => ({ ...config, chat_template }));
  change<TokenizerJson>('tokenizer.json', ({ added_tokens, model, ...json }) => {
    const [last] = Object.entries(model.vocab).find(([, id]) => id === CALL_ID) ?? [''];
    const vocab = Object.entries(model.vocab).map(([text, id]) => [id === CALL_ID ? CALL_TEXT : text, id]);
    const merges = model.merges.filter((pair) => pair.replace(' ', '') !== last);
    const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: false };
    return {
      ...json,
      added_tokens: [...added_tokens, { id: CALL_ID, content: CALL_TEXT, ...flags }],
      model: { ...model, vocab: Object.fromEntries(vocab), merges },
    };
  });
  return dir;
}
