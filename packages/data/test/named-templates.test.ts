import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadBaseTokenizer } from '../src/check-tokenizer.js';
import { readExact } from '../src/exact-json.js';
import { findCallForm, isNamedTemplate, listNamedTemplates, parseRow } from '../src/index.js';
import { labelRow } from '../src/label-row.js';
import { openTokenizer } from '../src/tokenizer.js';

const base = join(import.meta.dirname, '../../../examples/base');
const FOLDER = 'additional_chat_templates';
const named = (...names: string[]) => names.map((name) => ({ name, template: `${name}:{{ messages[0].content }}` }));

/** The shipped tokenizer with these chat templates and files. */
const reader =
  (chatTemplate: unknown, files: Record<string, string> = {}) =>
  async (name: string): Promise<string | null> => {
    if (files[name] !== undefined) return files[name];
    const text = await readFile(join(base, name), 'utf8').catch(() => null);
    if (name !== 'tokenizer_config.json') return text;
    return JSON.stringify({ ...JSON.parse(text ?? '{}'), chat_template: chatTemplate });
  };

const TOOL = { type: 'function', function: { name: 'look', parameters: { type: 'object', properties: {} } } };
const ASKED = [{ role: 'user', content: 'Hi' }] as const;
const jinja = (...names: string[]) =>
  Object.fromEntries(names.map((name) => [name, `${name}:{{ messages[0].content }}`]));
const ALONE = 'chat_template.jinja';
const TOOLS = `${FOLDER}/tool_use.jinja`;

// What apply_chat_template of transformers 5 writes without tools, with some and with an empty list; null where it raises.
describe('a conversation with tools is written by the template tool_use, others by the default', () => {
  test.each<[string, unknown, Record<string, string>, (string | null)[]]>([
    ['two of one list', named('default', 'tool_use'), {}, ['default:Hi', 'tool_use:Hi', 'tool_use:Hi']],
    ['in the other order', named('tool_use', 'rag', 'default'), {}, ['default:Hi', 'tool_use:Hi', 'tool_use:Hi']],
    ['none for tools', named('rag', 'default'), {}, ['default:Hi', 'default:Hi', 'default:Hi']],
    ['no default', named('rag', 'tool_use'), {}, [null, 'tool_use:Hi', 'tool_use:Hi']],
    ['neither', named('rag', 'other'), {}, [null, null, null]],
    ['one under another name', named('rag'), {}, [null, null, null]],
    ['two files', 'config:', jinja(ALONE, TOOLS), [`${ALONE}:Hi`, `${TOOLS}:Hi`, `${TOOLS}:Hi`]],
    ['a file before a list', named('default', 'tool_use'), jinja(ALONE), Array(3).fill(`${ALONE}:Hi`)],
    ['a file for tools alone', 'config:', jinja(TOOLS), [null, `${TOOLS}:Hi`, `${TOOLS}:Hi`]],
    ['one text', 'config:', {}, ['config:', 'config:', 'config:']],
  ])('%s', async (_what, chatTemplate, files, want) => {
    const { chatTemplate: template, hasChatTemplate } = await openTokenizer(reader(chatTemplate, files));
    const written = [{}, { tools: [TOOL] }, { tools: [] }].map((options) => {
      try {
        return template.render(ASKED, options);
      } catch (error) {
        expect(error).toMatchObject({
          code: 'user_data',
          message: expect.stringContaining('no default chat template'),
        });
        return null;
      }
    });
    expect(written).toEqual(want);
    expect(hasChatTemplate).toBe(want[0] !== null);
  });

  test('the refusal says which templates there are', async () => {
    const { chatTemplate } = await openTokenizer(reader(named('rag', 'tool_use')));
    expect(() => chatTemplate.render(ASKED)).toThrow(
      'The base has no default chat template for conversations without tools, only rag, tool_use.',
    );
  });

  test('a base without any has the plain form', async () => {
    const { chatTemplate, hasChatTemplate } = await openTokenizer(reader(undefined));
    expect(chatTemplate.render(ASKED)).toBe('### user:\nHi');
    expect(hasChatTemplate).toBe(false);
  });
});

/** It goes through the tools without asking whether there are any, and writes arguments as an object. */
const CALLING = [
  '{% for tool in tools %}{{ tool.function.name }} {% endfor %}',
  "{% for m in messages %}<|{{ m.role }}|>{{ m.content or '' }}",
  '{% for call in m.tool_calls or [] %}<tool_call>\n',
  '{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}\n</tool_call>{% endfor %}',
  "{% if m.role == 'assistant' %}<|end|>{% endif %}{% endfor %}",
  '{% if add_generation_prompt %}<|assistant|>{% endif %}',
].join('');
const calling = [
  { name: 'default', template: '{% for m in messages %}{{ m.content }}{% endfor %}' },
  { name: 'tool_use', template: CALLING },
];

test('rows with tools are learned as the template for tools writes them', async () => {
  const tokenizer = await openTokenizer(reader(calling));
  const call = { id: 'call00001', type: 'function', function: { name: 'look', arguments: '{"at": 1.0}' } };
  const messages = [...ASKED, { role: 'assistant', content: null, tool_calls: [call] }];
  const written = (more: object) => {
    const line = JSON.stringify({ messages, ...more });
    const read = parseRow(JSON.parse(line), { exact: readExact(line).value });
    if ('problem' in read) throw new Error(JSON.stringify(read.problem));
    return [...labelRow(read.row, tokenizer)].map(({ ids }) => tokenizer.decode(ids, { skipSpecialTokens: false }));
  };
  expect(written({ tools: [TOOL] })).toEqual([
    'look <|user|>Hi<|assistant|><tool_call>\n{"name": "look", "arguments": {"at": 1.0}}\n</tool_call><|end|>',
  ]);
  expect(findCallForm(tokenizer)?.name).toBe('JSON in <tool_call>');
});

describe('registration', () => {
  const withTools = (template: string) =>
    reader([
      { name: 'default', template: 'x' },
      { name: 'tool_use', template },
    ]);

  test.each([
    ['a construct', '{{ cycler(1) }}', "the function 'cycler'"],
    ['one that shows when it is rendered', '{% for t in tools %}{{ range.name }}{% endfor %}', "the attribute 'name'"],
  ])('refuses a template for tools that has %s that is not known', async (_what, template, says) => {
    await expect(loadBaseTokenizer(withTools(template), 1_024)).rejects.toMatchObject({
      code: 'invalid_base',
      param: 'chat_template',
      message: expect.stringContaining(says),
    });
  });

  test('takes a base whose templates all have other names, for rows that need none', async () => {
    const tokenizer = await loadBaseTokenizer(reader(named('rag')), 1_024);
    const [row] = labelRow({ format: 'prompt_completion', prompt: 'a', completion: 'b' }, tokenizer);
    expect(row?.ids.length).toBeGreaterThan(0);
  });
});

test('templates with a name of their own are jinja files of one folder', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'moraine-templates-'));
  expect(listNamedTemplates(dir)).toEqual([]);
  await writeFile(join(dir, FOLDER), '');
  expect(listNamedTemplates(dir)).toEqual([]);
  await rm(join(dir, FOLDER));
  await mkdir(join(dir, FOLDER, 'deep.jinja'), { recursive: true });
  for (const name of ['tool_use.jinja', 'rag.jinja', 'notes.txt', '.hidden.jinja'])
    await writeFile(join(dir, FOLDER, name), '');
  expect(listNamedTemplates(dir)).toEqual([`${FOLDER}/rag.jinja`, `${FOLDER}/tool_use.jinja`]);
  const outside = [`${FOLDER}/../x.jinja`, `a/${FOLDER}/x.jinja`, 'x.jinja', `${FOLDER}/x.py`, `${FOLDER}/a/b.jinja`];
  expect(outside.filter(isNamedTemplate)).toEqual([]);
});
