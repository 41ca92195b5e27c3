import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { IGNORED } from '@moraine/contract';
import { beforeAll, describe, expect, test } from 'vitest';
import { compileTemplate } from '../src/chat-template.js';
import { encodeFile } from '../src/encode-file.js';
import { encodeRow } from '../src/encode-row.js';
import { labelRow, type PromptFormat } from '../src/label-row.js';
import type { ChatMessage, Row } from '../src/row.js';
import { loadTokenizer, type TextTokenizer } from '../src/tokenizer.js';
import { sharedData } from './shared-data.js';

const shared = sharedData();
let base: TextTokenizer;
beforeAll(async () => {
  base = await loadTokenizer(join(import.meta.dirname, '../../../examples/base'));
});

/** The one row that a row makes. */
function labelled(row: Row, tokenizer: TextTokenizer, promptFormat?: PromptFormat) {
  const rows = [...labelRow(row, tokenizer, promptFormat)];
  expect(rows).toHaveLength(1);
  return rows[0] as (typeof rows)[0];
}

/** The supervised stretches of a row, decoded with their special tokens. */
function learned(row: Row, tokenizer: TextTokenizer, promptFormat?: PromptFormat): string[] {
  const { ids, labels } = labelled(row, tokenizer, promptFormat);
  const stretches: number[][] = [];
  labels.forEach((label, i) => {
    if (label === IGNORED) return;
    expect(label).toBe(ids[i]);
    if (i > 0 && labels[i - 1] !== IGNORED) stretches.at(-1)?.push(label);
    else stretches.push([label]);
  });
  return stretches.map((stretch) => tokenizer.decode(stretch, { skipSpecialTokens: false }));
}

const conversation: ChatMessage[] = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: 'What is 2 + 2?' },
  { role: 'assistant', content: 'It is 4.' },
  { role: 'user', content: 'And 3 + 3?' },
  { role: 'assistant', content: 'It is 6.' },
];

describe('what is learned of a row', () => {
  test('of a conversation: each answer with its end token, nothing else', () => {
    expect(learned({ format: 'chat', messages: conversation }, base)).toEqual(['It is 4.<|end|>', 'It is 6.<|end|>']);
  });

  test('an answer of weight 0 is context only', () => {
    const messages = conversation.map((message, i): ChatMessage => (i === 2 ? { ...message, weight: 0 } : message));
    expect(learned({ format: 'chat', messages }, base)).toEqual(['It is 6.<|end|>']);
  });

  test('of prompt and completion: the completion and its end token, as a turn of the base', () => {
    const row: Row = { format: 'prompt_completion', prompt: 'Record?', completion: '{"count":12}' };
    expect(learned(row, base)).toEqual(['{"count":12}<|end|>']);
    const { ids } = labelled(row, base);
    expect(base.decode(ids, { skipSpecialTokens: false })).toBe('<|user|>Record?<|assistant|>{"count":12}<|end|>');
  });

  test('the prompt part is tokenised as generation will see it', () => {
    const row: Row = { format: 'prompt_completion', prompt: 'Record?', completion: ' yes' };
    const asked = base.encode(
      base.chatTemplate.render([{ role: 'user', content: 'Record?' }], { addGenerationPrompt: true }),
    );
    const [encoded] = encodeRow(row, base, { maxSeqLen: 64 });
    expect(encoded).toMatchObject({ row: { promptLength: asked.length, isTruncated: false } });
    expect(labelled(row, base).ids.slice(0, asked.length)).toEqual(asked);
  });

  test('of prompt and completion end to end: the completion and an end token', () => {
    const row: Row = { format: 'prompt_completion', prompt: 'Two and two is', completion: ' four' };
    expect(learned(row, base, 'raw')).toEqual([' four<|end|>']);
    expect(learned({ ...row, completion: ' four<|end|>' }, base, 'raw')).toEqual([' four<|end|>']);
  });

  test('of text: every token, and the end token is added once', () => {
    expect(learned({ format: 'text', text: 'It snowed.' }, base)).toEqual(['It snowed.<|end|>']);
    expect(learned({ format: 'text', text: 'It snowed.<|end|>' }, base)).toEqual(['It snowed.<|end|>']);
  });

  test('an answer that repeats the question is found at its own place', () => {
    const messages: ChatMessage[] = [
      { role: 'user', content: 'echo' },
      { role: 'assistant', content: 'echo' },
    ];
    const { ids, labels } = labelled({ format: 'chat', messages }, base);
    expect(labels.slice(0, 3 + base.encode('echo').length - 1).every((label) => label === IGNORED)).toBe(true);
    expect(ids.length - labels.filter((label) => label !== IGNORED).length).toBe(2 + base.encode('echo').length);
  });

  test('an answer that holds a special token itself is learned to its own end', () => {
    const messages: ChatMessage[] = [
      { role: 'user', content: 'What ends a turn?' },
      { role: 'assistant', content: 'It is <|end|> that ends it.' },
    ];
    expect(learned({ format: 'chat', messages }, base)).toEqual(['It is <|end|> that ends it.<|end|>']);
  });

  test('a role that the template does not know is refused with the template’s own words', () => {
    const messages: ChatMessage[] = [...conversation, { role: 'tool', content: '3' }];
    expect(() => labelled({ format: 'chat', messages }, base)).toThrow('not tool');
  });

  test('generation marks in a template change nothing', () => {
    const source =
      "{% for m in messages %}{{ '<|' + m.role + '|>' }}{% if m.role == 'assistant' %}{% generation %}{{ m.content + '<|end|>' }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";
    const chatTemplate = compileTemplate(source, { eos_token: '<|end|>' });
    const rows = { format: 'chat', messages: conversation } as const;
    expect(learned(rows, { ...base, chatTemplate })).toEqual(['It is 4.<|end|>', 'It is 6.<|end|>']);
  });
});

describe('rows that are too long', () => {
  const row: Row = { format: 'prompt_completion', prompt: 'one two three', completion: 'four five six seven' };

  test('are cut at their end', () => {
    const whole = labelled(row, base).ids;
    const [encoded] = encodeRow(row, base, { maxSeqLen: whole.length - 1 });
    expect(encoded).toMatchObject({ row: { ids: whole.slice(0, -1), isTruncated: true } });
  });

  test('are left out, or are an error, when asked', () => {
    const { length } = labelled(row, base).ids;
    const encode = (maxSeqLen: number, overLength: 'drop' | 'error') => [
      ...encodeRow(row, base, { maxSeqLen, overLength }),
    ];
    expect(encode(length - 1, 'drop')).toMatchObject([{ dropped: 'over_length', length }]);
    expect(() => encode(length - 1, 'error')).toThrow(`max_seq_len is ${length - 1}`);
    expect(encode(length, 'error')[0]).toHaveProperty('row');
  });

  test('whose answer is cut off altogether are never trained on', () => {
    const { length } = labelled(row, base).ids;
    expect([...encodeRow(row, base, { maxSeqLen: 4 })]).toMatchObject([{ dropped: 'prompt_too_long', length }]);
  });
});

test('encoding a file counts what it cuts and leaves out, and refuses a file of which nothing is left', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'moraine-encode-'));
  try {
    const file = join(folder, 'rows.jsonl');
    const rows = ['short', 'long '.repeat(60), 'short too'].map((prompt) =>
      JSON.stringify({ prompt, completion: 'yes '.repeat(3) }),
    );
    await writeFile(file, rows.join('\n'));
    const { rows: kept, report } = await encodeFile(file, base, { maxSeqLen: 24 });
    expect(kept).toHaveLength(2);
    expect(report).toMatchObject({ rows: 2, droppedLines: [2] });
    expect(report.dropped).toEqual({ prompt_too_long: { rows: 1, firstLine: 2 } });
    expect(report.tokens).toBe(kept.reduce((sum, row) => sum + row.ids.length, 0));
    await expect(encodeFile(file, base, { maxSeqLen: 2 })).rejects.toMatchObject({
      code: 'user_data',
      message: 'None of 3 rows can be trained on: 3 have a prompt that alone fills 2 tokens (first in line 1).',
      param: 'max_seq_len',
    });
    await expect(encodeFile(file, base, { maxSeqLen: 24, overLength: 'error' })).rejects.toThrow('Line 2');
    await writeFile(file, '\n\n');
    await expect(encodeFile(file, base, { maxSeqLen: 24 })).rejects.toThrow('rows.jsonl holds no rows.');
  } finally {
    await rm(folder, { recursive: true });
  }
});

describe.runIf(shared !== null)('templates of real bases', () => {
  const withoutSystem = conversation.slice(1);
  const cases: [folder: string, messages: ChatMessage[], want: string[]][] = [
    ['tokenizers/smollm2', conversation, ['It is 4.<|im_end|>', 'It is 6.<|im_end|>']],
    ['tokenizers/smollm2', withoutSystem, ['It is 4.<|im_end|>', 'It is 6.<|im_end|>']],
    ['tokenizers/tinyllama', conversation, ['It is 4.</s>', 'It is 6.</s>']],
  ];
  test.each(cases)(
    '%s: each answer with the token that ends it, not the line break after it',
    async (folder, messages, want) => {
      const tokenizer = await loadTokenizer(join(shared ?? '', folder));
      expect(learned({ format: 'chat', messages }, tokenizer)).toEqual(want);
    },
  );

  test('a base without a template gets the plain form', async () => {
    const tokenizer = await loadTokenizer(join(shared ?? '', 'models/tinystories-656k-llama'));
    const { ids } = labelled({ format: 'chat', messages: withoutSystem }, tokenizer);
    expect(ids[0]).toBe(tokenizer.bosId);
    const stretches = learned({ format: 'chat', messages: withoutSystem }, tokenizer);
    expect(stretches).toHaveLength(2);
    for (const stretch of stretches) expect(stretch.endsWith('<|end_story|>')).toBe(true);
    // this tokenizer joins a word with the space after it: a token that crosses the border belongs to the answer
    expect(learned({ format: 'prompt_completion', prompt: 'Once upon', completion: ' a time' }, tokenizer)).toEqual([
      'upon a time<|end_story|>',
    ]);
  });
});
