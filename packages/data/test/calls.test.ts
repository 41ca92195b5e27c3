import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { IGNORED } from '@moraine/contract';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DAY, writeBases } from '../../../scripts/conversations/generate.js';
import { rowLines } from '../../../scripts/conversations/rows.js';
import { readExact } from '../src/exact-json.js';
import {
  decoderFor,
  findCallForm,
  loadTokenizer,
  parseRow,
  type ReadCall,
  readAnswer,
  type TextTokenizer,
} from '../src/index.js';
import { toJson } from '../src/jinja/values.js';
import { labelRow } from '../src/label-row.js';

/** The form in which each template of scripts/conversations writes calls; null: none that is read. */
const FORMS: Record<string, string | null> = {
  headers: 'JSON alone',
  inst: 'a JSON list behind [TOOL_CALLS]',
  thinking: 'JSON in <tool_call>',
  'trl/qwen3': 'JSON in <tool_call>',
  'trl/qwen2_5': 'JSON in <tool_call>',
  'trl/qwen3-unmarked': 'JSON in <tool_call>',
  'trl/llama3_1-unmarked': 'JSON alone',
  'trl/qwen3_8': 'parameters in <function=…>',
  'trl/nemotron_3_nano': 'parameters in <function=…>',
  'trl/glm4moe': 'keys and values in <tool_call>',
  'trl/deepseekv3': 'fenced JSON between marks',
  // Forms of no model, of a model whose answers are channels, and templates that know no calls.
  ...{ 'calls-as-texts': null, 'marked-calls': null, macros: null, 'trl/gptoss': null },
  ...{ chatml: null, turns: null, 'trl/llama3': null, 'no-end': null },
};
const READ = Object.entries(FORMS).flatMap(([name, form]) => (form === null ? [] : [name]));

const call = (id: string, name: string, given: string) => ({
  ...{ id, type: 'function' },
  function: { name, arguments: given },
});
const parameters = {
  type: 'object',
  properties: { place: { type: 'string' }, hours: { type: 'integer' }, deep: { type: 'object' } },
};
const tool = (name: string) => ({ type: 'function', function: { name, description: 'Does it.', parameters } });
const given = [
  '{"place": "12", "hours": 9007199254740993}',
  '{"place": "</tool_call> {\\"a\\": [", "deep": {"2": [1.0, 1e5], "1": null}}',
];
/** Rows of their own: two calls of one answer behind words, and texts that look like the form itself. */
const OWN = [
  [call('call00001', 'look', given[0] ?? ''), call('call00002', 'look_twice', given[1] ?? '')],
  [call('call00001', 'look', given[1] ?? '')],
].map((calls, i) =>
  JSON.stringify({
    messages: [
      { role: 'user', content: 'Look.' },
      { role: 'assistant', content: i === 0 ? 'I look.' : null, tool_calls: calls },
    ],
    tools: [tool('look'), tool('look_twice')],
  }),
);
const LINES = [...rowLines.filter((line) => line.includes('"tool_calls"')), ...OWN];
/** Templates that take one call an answer, and those whose calls stand for the whole answer. */
const ONE_CALL = ['headers', 'trl/llama3_1-unmarked'];
const WITHOUT_WORDS = [...ONE_CALL, 'inst', 'trl/deepseekv3'];

const bases = mkdtempSync(join(tmpdir(), 'moraine-calls-'));
const loaded = new Map<string, TextTokenizer>();
beforeAll(async () => {
  writeBases(bases);
  for (const name of Object.keys(FORMS)) loaded.set(name, await loadTokenizer(join(bases, name), new Date(DAY)));
});
afterAll(() => rmSync(bases, { recursive: true, force: true }));

function tokenizerOf(name: string): TextTokenizer {
  const found = loaded.get(name);
  if (found === undefined) throw new Error(`no template ${name}`);
  return found;
}

/** The learned stretches of a row, as the model would write them, without end tokens. */
function learnedOf(line: string, tokenizer: TextTokenizer): number[][] {
  const read = parseRow(JSON.parse(line), { exact: readExact(line).value });
  if ('problem' in read) throw new Error(read.problem.message);
  return [...labelRow(read.row, tokenizer)].flatMap(({ labels }) => {
    const answers: number[][] = [];
    for (const [i, id] of labels.entries()) {
      if (id === IGNORED) continue;
      if (i === 0 || labels[i - 1] === IGNORED) answers.push([]);
      if (!tokenizer.eosIds.includes(id)) answers.at(-1)?.push(id);
    }
    return answers;
  });
}

interface Written {
  messages: { tool_calls?: { function: ReadCall }[] }[];
  tools: unknown[];
}
const isSame = ({ name, arguments: text }: ReadCall) => ({ name, arguments: toJson(readExact(text).value) });

describe('calls of answers', () => {
  test('each template is known by the form that reads its training rows', () => {
    const found = Object.keys(FORMS).map((name) => [name, findCallForm(tokenizerOf(name))?.name ?? null]);
    expect(Object.fromEntries(found)).toEqual(FORMS);
  });

  test.each(READ)('what training learns under %s reads as the calls of the row', (name) => {
    const tokenizer = tokenizerOf(name);
    const form = findCallForm(tokenizer);
    let compared = 0;
    for (const line of LINES) {
      const { messages, tools } = JSON.parse(line) as Written;
      const expected = messages.flatMap(({ tool_calls = [] }) => tool_calls.map((one) => isSame(one.function)));
      if (ONE_CALL.includes(name) && messages.some(({ tool_calls = [] }) => tool_calls.length > 1)) continue;
      if (WITHOUT_WORDS.includes(name) && line.includes('I look.')) continue;
      if (form === null) throw new Error('no form');
      const decode = decoderFor(tokenizer, form);
      const read = learnedOf(line, tokenizer).map((ids) => readAnswer(form, decode(ids), tools, { isWhole: true }));
      expect(read.flatMap(({ calls }) => calls.map(isSame))).toEqual(expected);
      compared += expected.length;
    }
    expect(compared).toBeGreaterThanOrEqual(3);
  });

  test('what is given of an unfinished answer is never taken back, and a call comes once it is complete', () => {
    for (const name of READ) {
      const tokenizer = tokenizerOf(name);
      const form = findCallForm(tokenizer);
      if (form === null) throw new Error('no form');
      const line = (WITHOUT_WORDS.includes(name) ? OWN[1] : OWN[0]) ?? '';
      const { tools } = JSON.parse(line) as Written;
      const text = decoderFor(tokenizer, form)(learnedOf(line, tokenizer)[0] ?? []);
      const whole = readAnswer(form, text, tools, { isWhole: true });
      for (let end = 0; end <= text.length; end++) {
        const part = readAnswer(form, text.slice(0, end), tools, { isWhole: false });
        expect(whole.content.startsWith(part.content)).toBe(true);
        expect(part.calls).toEqual(whole.calls.slice(0, part.calls.length));
      }
    }
  });

  test('what is no complete call stays in the words as it is written', () => {
    const form = findCallForm(tokenizerOf('trl/qwen3'));
    const bare = findCallForm(tokenizerOf('headers'));
    if (form === null || bare === null) throw new Error('no form');
    const read = (text: string) => readAnswer(form, text, [tool('look')], { isWhole: true });
    const cut = 'Well.\n<tool_call>\n{"name": "look", "arguments": {"pla';
    expect(read(cut)).toEqual({ content: cut, calls: [] });
    expect(read('<tool_call>{"arguments": {}}</tool_call>').calls).toEqual([]);
    // The last mark may be missing, arguments may be a text of JSON, and what follows the calls is kept.
    const calls = [{ name: 'look', arguments: '{"a": 1.0}' }];
    expect(read('<tool_call>{"name":"look","arguments":"{\\"a\\": 1.0}"}')).toEqual({ content: '', calls });
    expect(read('A <tool_call>{"name":"look","parameters":{"a":1.0}}</tool_call> b')).toEqual({
      content: 'A\nb',
      calls,
    });
    const other = '{"name": "elsewhere", "parameters": {}}';
    expect(readAnswer(bare, other, [tool('look')], { isWhole: true })).toEqual({ content: other, calls: [] });
  });
});
