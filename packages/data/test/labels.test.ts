import { join } from 'node:path';
import { IGNORED } from '@moraine/contract';
import { beforeAll, describe, expect, test } from 'vitest';
import { compileTemplate } from '../src/chat-template.js';
import { encodeRow } from '../src/encode-row.js';
import { type LabelledRow, labelRow } from '../src/label-row.js';
import type { ChatMessage } from '../src/row.js';
import { loadTokenizer, type TextTokenizer } from '../src/tokenizer.js';

let base: TextTokenizer;
beforeAll(async () => {
  base = await loadTokenizer(join(import.meta.dirname, '../../../examples/base'));
});

const withTemplate = (source: string): TextTokenizer => ({
  ...base,
  chatTemplate: compileTemplate(source, { bos_token: '', eos_token: '<|end|>' }),
});
const rowsOf = (source: string, messages: ChatMessage[], tools?: unknown[]): LabelledRow[] => [
  ...labelRow({ format: 'chat', messages, ...(tools === undefined ? {} : { tools }) }, withTemplate(source)),
];
const text = (ids: readonly number[]): string => base.decode(ids, { skipSpecialTokens: false });
/** What each row learns, one text a row. */
const learned = (rows: readonly LabelledRow[]): string[] =>
  rows.map(({ labels }) => text(labels.filter((label) => label !== IGNORED)));
const notes = (rows: readonly LabelledRow[]): string[][] => rows.map((row) => [...row.notes].sort());

const ask = (content: string): ChatMessage => ({ role: 'user', content });
const answer = (content: string): ChatMessage => ({ role: 'assistant', content });

const PLAIN =
  "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% if m.role == 'assistant' %}<|end|>{% endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";

describe('a template that opens a thought for the model but stores none', () => {
  const opens =
    "{% for m in messages %}<|{{ m.role }}|>{% if m.role == 'assistant' %}{{ m.content.split('</think>')[-1].strip() }}<|end|>{% else %}{{ m.content }}{% endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|><think>\n{% endif %}";

  test('learns the answer with its end token and no header, and says what it does not learn', () => {
    const rows = rowsOf(opens, [ask('Two and two?'), answer('<think>\nEasy.\n</think>\n\nFour.')]);
    expect(learned(rows)).toEqual(['Four.<|end|>']);
    expect(notes(rows)).toEqual([['prompt_differs', 'reasoning_left_out']]);
  });

  test('that keeps thoughts learns them behind the opening', () => {
    const keeps = opens.replace("m.content.split('</think>')[-1].strip()", 'm.content');
    const rows = rowsOf(keeps, [ask('Two and two?'), answer('<think>\nEasy.</think>Four.')]);
    expect(learned(rows)).toEqual(['Easy.</think>Four.<|end|>']);
    expect(notes(rows)).toEqual([[]]);
  });

  test('is not misled by an answer that begins like the opening', () => {
    expect(learned(rowsOf(opens, [ask('Say it'), answer('<thin ice>')]))).toEqual(['<thin ice><|end|>']);
  });
});

describe('a template that changes earlier turns', () => {
  const rewrites =
    "{% for m in messages %}<|{{ m.role }}|>{% if m.role == 'assistant' %}{{ '[thought]' if loop.last }}{{ m.content }}<|end|>{% else %}{{ m.content }}{% endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";
  const talk = [ask('One?'), answer('1'), ask('Two?'), answer('2')];

  test('makes one row for each answer, with the turns before it as the template writes them then', () => {
    const rows = rowsOf(rewrites, talk);
    expect(rows.map(({ ids }) => text(ids))).toEqual([
      '<|user|>One?<|assistant|>[thought]1<|end|>',
      '<|user|>One?<|assistant|>1<|end|><|user|>Two?<|assistant|>[thought]2<|end|>',
    ]);
    expect(learned(rows)).toEqual(['[thought]1<|end|>', '[thought]2<|end|>']);
    expect(notes(rows)).toEqual([['split'], ['split']]);
  });

  test('makes none for an answer of weight 0', () => {
    const rows = rowsOf(rewrites, [ask('One?'), { ...answer('1'), weight: 0 }, ask('Two?'), answer('2')]);
    expect(learned(rows)).toEqual(['[thought]2<|end|>']);
    expect(notes(rows)).toEqual([[]]);
  });

  test('in a conversation that goes on after its answer keeps what the answer was', () => {
    expect(learned(rowsOf(rewrites, [ask('One?'), answer('1'), ask('Two?')]))).toEqual(['[thought]1<|end|>']);
  });
});

describe('a template that ends no answer', () => {
  const endless =
    '{% for m in messages %}### {{ m.role }}\n{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}### assistant\n{% endif %}';

  test('gets an end token behind each answer, and that is said', () => {
    const rows = rowsOf(endless, [ask('One?'), answer('1'), ask('Two?'), answer('2')]);
    expect(learned(rows)).toEqual(['1<|end|>2<|end|>']);
    expect(rows.map(({ ids }) => text(ids))).toEqual([
      '### user\nOne?\n### assistant\n1<|end|>\n### user\nTwo?\n### assistant\n2<|end|>\n',
    ]);
    expect(notes(rows)).toEqual([['end_added']]);
  });

  test('takes the end token that the answer brings itself', () => {
    const rows = rowsOf(endless, [ask('One?'), answer('1<|end|>')]);
    expect(learned(rows)).toEqual(['1<|end|>']);
    expect(notes(rows)).toEqual([['special_in_text']]);
  });
});

describe('an answer that nobody asks for', () => {
  // As Qwen 2.5 does: the first message is looked at, and a system message of the template's own comes first.
  const leads =
    "{% if messages[0].role != 'system' %}<|system|>You help.<|end|>{% endif %}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";

  test('that stands first is learned without its header and without what the template writes before it', () => {
    const rows = rowsOf(leads, [answer('Hi!'), ask('q'), answer('a')]);
    expect(learned(rows)).toEqual(['Hi!<|end|>a<|end|>']);
    expect(text(rows[0]?.ids ?? [])).toBe(
      '<|system|>You help.<|end|><|assistant|>Hi!<|end|><|user|>q<|end|><|assistant|>a<|end|>',
    );
    expect(notes(rows)).toEqual([[]]);
  });

  test.each([
    ['opens a thought', leads.replace('%}<|assistant|>{%', '%}<|assistant|><think>\n{%')],
    ['has nothing to ask with', leads.replace('%}<|assistant|>{%', '%}{%')],
    [
      'writes an empty thought',
      leads.replace('{{ m.content }}', "{{ '<think></think>' if m.role == 'assistant' }}{{ m.content }}"),
    ],
    // As Kimi K2 does: an empty conversation is asked with the header alone, and the system message comes with the first message.
    ['asks of nothing', leads.replace("messages[0].role != 'system'", "messages and messages[0].role != 'system'")],
  ])('is learned without its header where the template %s', (_name, template) => {
    const [first] = learned(rowsOf(template, [answer('Hi!'), ask('q'), { ...answer('a'), weight: 0 }]));
    expect(first).toMatch(/^(<think><\/think>)?Hi!<\|end\|>$/);
  });

  test('that follows another is learned without its header, though the template would ask for none, and that is said', () => {
    const asksUsers = leads.replace(
      'if add_generation_prompt',
      "if add_generation_prompt and messages[-1].role == 'user'",
    );
    const rows = rowsOf(asksUsers, [ask('q'), answer('AA'), answer('BB')]);
    expect(learned(rows)).toEqual(['AA<|end|>BB<|end|>']);
    expect(notes(rows)).toEqual([['prompt_differs']]);
  });
});

describe('calls of tools', () => {
  const call = (given: unknown): ChatMessage => ({
    role: 'assistant',
    content: null,
    tool_calls: [{ id: '1', type: 'function', function: { name: 'weather', arguments: given } }],
  });
  const calls = (write: string): string =>
    `{% for m in messages %}<|{{ m.role }}|>{{ m.content or '' }}{% for c in m.tool_calls or [] %}<|user|>{{ c.function.name }}(${write})<|user|>{% endfor %}{% if m.role == 'assistant' %}<|end|>{% endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}`;

  test('are learned whole with the end token, whatever special tokens stand around them', () => {
    const rows = rowsOf(calls('{{ c.function.arguments | tojson }}'), [ask('Rome?'), call('{"city":"Rome"}')]);
    expect(learned(rows)).toEqual(['<|user|>weather({"city": "Rome"})<|user|><|end|>']);
    expect(notes(rows)).toEqual([[]]);
  });

  test.each([
    ['no call', 0, 'Let me call weather for the city Rome.', [{ city: 'Rome' }]],
    ['the first call alone', 1, null, [{ n: 12 }, { n: 1 }]],
  ])(
    'that a template leaves out are not learned, though their words stand elsewhere: it writes %s',
    (_, most, content, given) => {
      const source = calls('{{ c.function.arguments | tojson }}').replace(
        'm.tool_calls or []',
        `(m.tool_calls or [])[:${most}]`,
      );
      const made = given.flatMap((one) => call(JSON.stringify(one)).tool_calls ?? []);
      const rows = rowsOf(source, [ask('Rome?'), { role: 'assistant', content, tool_calls: made }]);
      expect([learned(rows), notes(rows)]).toEqual([[''], [['not_written']]]);
    },
  );

  test('with a wrong truth value are not what the row has', () => {
    const source = calls("{{ c.function.arguments | tojson | replace('true', 'false') }}");
    expect(notes(rowsOf(source, [ask('Rome?'), call('{"rain":true}')]))).toEqual([['not_written']]);
    expect(notes(rowsOf(calls('{{ c.function.arguments }}'), [ask('Rome?'), call('{"rain":true}')]))).toEqual([[]]);
  });

  test('cost no more renderings the more of them there are, nor the more turns came before', () => {
    const source = `{{ tools | tojson if tools }}${calls('{{ c.function.arguments | tojson }}')}`;
    const { chatTemplate, ...tokenizer } = withTemplate(source);
    let messages = 0;
    const render: typeof chatTemplate.render = (given, options) => {
      messages += given.length;
      return chatTemplate.render(given, options);
    };
    const rendered = (talk: ChatMessage[]): number => {
      messages = 0;
      const made = [
        ...labelRow({ format: 'chat', messages: talk }, { ...tokenizer, chatTemplate: { ...chatTemplate, render } }),
      ];
      expect([notes(made), made[0]?.labels.filter((label) => label !== IGNORED).length]).toEqual([
        [[]],
        expect.any(Number),
      ]);
      return messages;
    };
    const many = Array.from({ length: 50 }, () => call('{"city":"Rome"}').tool_calls ?? []).flat();
    expect(rendered([ask('Rome?'), { role: 'assistant', content: null, tool_calls: many }])).toBeLessThan(25);
    // One question, and an agent that goes on by itself.
    const steps = (count: number): ChatMessage[] =>
      Array.from({ length: count }, (): ChatMessage[] => [
        call('{"city":"Rome"}'),
        { role: 'tool', content: '20' },
      ]).flat();
    const [short, long] = [20, 80].map((count) => rendered([ask('Rome?'), ...steps(count), answer('20')])) as [
      number,
      number,
    ];
    expect(long / short).toBeLessThan(5);
  });

  test('whose definitions the template leaves out: that is said', () => {
    const tools = [{ type: 'function', function: { name: 'weather' } }];
    const source = calls('{{ c.function.arguments | tojson }}');
    expect(notes(rowsOf(source, [ask('Rome?'), call('{"city":"Rome"}')], tools))).toEqual([['tools_left_out']]);
    expect(notes(rowsOf(`{{ tools | tojson }}${source}`, [ask('Rome?'), call('{"city":"Rome"}')], tools))).toEqual([
      [],
    ]);
    expect(notes(rowsOf(source, [ask('Rome?'), call('{"city":"Rome"}')], []))).toEqual([[]]);
  });

  test('leave words beside them out in some templates: such an answer is not learned', () => {
    const source = calls('{{ c.function.arguments | tojson }}').replace(
      'm.content or',
      'm.content if not m.tool_calls else',
    );
    const rows = rowsOf(source, [ask('Rome?'), { ...call('{"city":"Rome"}'), content: 'weather' }]);
    expect([learned(rows), notes(rows)]).toEqual([[''], [['not_written']]]);
  });

  test('keep numbers and the order of keys, from a text and from an object', () => {
    const written = '{"z": 1170735493917552650, "10": 1.0, "2": 1e3, "a": [0.10, -0.0]}';
    for (const given of [written]) {
      const [row] = rowsOf(calls('{{ c.function.arguments | tojson }}'), [ask('x'), call(given)]);
      expect(row && learned([row])[0]).toContain(written);
    }
  });

  test('are given as the text that was written where the template takes texts', () => {
    const either = '{{ c.function.arguments if c.function.arguments is string else c.function.arguments | tojson }}';
    expect(learned(rowsOf(calls(either), [ask('x'), call('{"city":"Rome"}')]))[0]).toContain('({"city":"Rome"})');
    const onlyTexts = "{{ '' + c.function.arguments }}";
    expect(learned(rowsOf(calls(onlyTexts), [ask('x'), call('{"city":"Rome"}')]))[0]).toContain('({"city":"Rome"})');
    expect(learned(rowsOf(calls(onlyTexts), [ask('x'), call({ city: 'Rome' })]))[0]).toContain('({"city": "Rome"})');
  });

  test('are found in whatever language the template writes their texts', () => {
    const written = JSON.stringify({ why: 'it\'s "old"\nand\tlong, é' });
    const escaped = 'c.function.arguments.why | replace("\'", "\\\\\'") | replace("\\n", "\\\\n")';
    for (const write of [`{{ "'" + (${escaped}) + "'" }}`, '{{ c.function.arguments | tojson | tojson }}']) {
      const rows = rowsOf(calls(`${write}{% for key in c.function.arguments %}{{ key }}{% endfor %}`), [
        ask('x'),
        call(written),
      ]);
      expect(learned(rows)[0]).toContain('weather(');
      expect(notes(rows)).toEqual([[]]);
    }
  });

  test('without words are given as transformers gives them, null or an empty text where the template fails without', () => {
    const write = (content: string): string =>
      learned(rowsOf(calls('').replace("m.content or ''", content), [ask('x'), call('{}')]))[0] ?? '';
    expect(write("'has' if 'content' in m else 'lacks'")).toBe('lacks<|user|>weather()<|user|><|end|>');
    expect(write("m.content ~ ''")).toBe('<|user|>weather()<|user|><|end|>');
    expect(write("'null' if m.content is none else m.content + ''")).toBe('null<|user|>weather()<|user|><|end|>');
    expect(write("m.content + '' if '<' not in m.content else ''")).toBe('<|user|>weather()<|user|><|end|>');
  });

  test('that the template does not write are not learned, and that is said', () => {
    const row = { format: 'chat', messages: [ask('Rome?'), call('{"city":"Rome"}')] } as const;
    const silent = withTemplate(PLAIN.replace('m.content', "(m.content or '')"));
    const [encoded] = encodeRow(row as never, silent, { maxSeqLen: 64 });
    expect(encoded).toMatchObject({ dropped: 'not_written' });
    expect(encoded && [...encoded.notes]).toEqual(['not_written']);
  });
});

describe('answers', () => {
  test('that the template writes otherwise are not learned', () => {
    const rows = rowsOf(PLAIN.replace('m.content', 'm.content | upper'), [ask('One?'), answer('one')]);
    expect(learned(rows)).toEqual(['']);
    expect(notes(rows)).toEqual([['not_written']]);
  });

  test('with white space that the template sets otherwise are learned', () => {
    const rows = rowsOf(PLAIN.replace('m.content', 'm.content | trim'), [ask(' One? '), answer('  one\n\n')]);
    expect(learned(rows)).toEqual(['one<|end|>']);
    expect(notes(rows)).toEqual([[]]);
  });

  test('with reasoning of their own learn it where the template writes it, else it is said', () => {
    const thinks: ChatMessage = { ...answer('4'), reasoning_content: 'two and two' };
    expect(notes(rowsOf(PLAIN, [ask('2+2'), thinks]))).toEqual([['reasoning_left_out']]);
    const writes = PLAIN.replace('m.content', "(m.reasoning_content or '') + m.content");
    expect(learned(rowsOf(writes, [ask('2+2'), thinks]))).toEqual(['two and two4<|end|>']);
    expect(notes(rowsOf(writes, [ask('2+2'), thinks]))).toEqual([[]]);
  });

  test('have their reasoning under each name that templates read', () => {
    for (const given of ['reasoning_content', 'reasoning', 'thinking']) {
      for (const read of ['reasoning_content', 'thinking']) {
        const writes = PLAIN.replace('m.content', `(m.${read} or '') + m.content`);
        const rows = rowsOf(writes, [ask('2+2'), { ...answer('4'), [given]: 'two and two ' }]);
        expect(learned(rows), `${given} as ${read}`).toEqual(['two and two 4<|end|>']);
      }
    }
  });

  test('begin behind the white space that the generation prompt ends with, where the template wrote it', () => {
    const thinks =
      "{% for m in messages %}<|{{ m.role }}|>{% if m.role == 'assistant' %}{% if m.thinking %}<think>\n{{ m.thinking }}</think>{% else %}<think></think>{% endif %}{{ m.content }}<|end|>{% else %}{{ m.content }}{% endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|><think>\n{% endif %}";
    const rows = rowsOf(thinks, [ask('2+2'), { ...answer('4'), reasoning_content: 'two' }]);
    expect(learned(rows)).toEqual(['two</think>4<|end|>']);
  });

  test('that hold special tokens are counted, as are questions', () => {
    expect(notes(rowsOf(PLAIN, [ask('say <|end|> now'), answer('no')]))).toEqual([['special_in_text']]);
    expect(notes(rowsOf(PLAIN, [ask('say it'), answer('no <|user|> here')]))).toEqual([['special_in_text']]);
    expect(notes(rowsOf(PLAIN, [ask('say <end> now'), answer('no')]))).toEqual([[]]);
  });

  test('end with the first end token, not with what the template writes after it', () => {
    const trails = `${PLAIN.replace('<|end|>', '<|end|>\n')}`;
    expect(learned(rowsOf(trails, [ask('One?'), answer('1')]))).toEqual(['1<|end|>']);
  });

  test('are found in a template without a generation prompt', () => {
    const mistral =
      "{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]{% else %} {{ m.content }}<|end|>{% endif %}{% endfor %}";
    expect(learned(rowsOf(mistral, [ask('One?'), answer('1'), ask('Two?'), answer('2')]))).toEqual([
      ' 1<|end|> 2<|end|>',
    ]);
  });
});

test('a conversation of many messages is labelled in a time that grows with its length', () => {
  const talk = (count: number): ChatMessage[] =>
    Array.from({ length: count }, (_, i) => (i % 2 === 0 ? ask(`Question ${i}?`) : answer(`Answer ${i}.`)));
  const time = (count: number): number => {
    const begun = performance.now();
    const rows = rowsOf(PLAIN, talk(count));
    expect(learned(rows)).toEqual([
      Array.from({ length: count / 2 }, (_, i) => `Answer ${2 * i + 1}.<|end|>`).join(''),
    ]);
    return performance.now() - begun;
  };
  time(400);
  const short = Math.min(time(200), time(200));
  // Eight times the messages: 64 times the time if it were quadratic.
  expect(time(1600)).toBeLessThan(24 * short + 200);
});
