import { describe, expect, test } from 'vitest';
import { convertRow, foreignForm } from '../src/foreign-rows.js';
import { parseRow } from '../src/parse-row.js';

describe('a row of another tool', () => {
  const cases: [form: string, row: object, want: object][] = [
    [
      'ShareGPT',
      {
        system: 'Be brief.',
        conversations: [
          { from: 'human', value: 'hi' },
          { from: 'gpt', value: 'hello' },
        ],
      },
      {
        messages: [
          { role: 'system', content: 'Be brief.' },
          { role: 'user', content: 'hi' },
          { role: 'assistant', content: 'hello' },
        ],
      },
    ],
    [
      'Alpaca',
      { instruction: 'Add', input: '2 and 2', output: '4' },
      {
        messages: [
          { role: 'user', content: 'Add\n\n2 and 2' },
          { role: 'assistant', content: '4' },
        ],
      },
    ],
    [
      'Dolly',
      { instruction: 'Say hi', context: '', response: 'hi' },
      {
        messages: [
          { role: 'user', content: 'Say hi' },
          { role: 'assistant', content: 'hi' },
        ],
      },
    ],
    ['question and answer', { question: 'a', answer: 'b' }, { prompt: 'a', completion: 'b' }],
  ];
  test.each(cases)('of the form %s becomes one of ours', (form, row, want) => {
    expect(foreignForm(row as Record<string, unknown>)?.name).toBe(form);
    const converted: unknown = JSON.parse(convertRow(row)?.text ?? 'null');
    expect(converted).toEqual(want);
    expect(parseRow(converted)).toHaveProperty('row');
  });

  test('that ranks answers is known and not converted', () => {
    for (const row of [
      { prompt: 'a', chosen: 'b', rejected: 'c' },
      { input: {}, preferred_output: [], non_preferred_output: [] },
      { prompt: 'a', completion: 'b', label: true },
    ]) {
      expect(foreignForm(row)?.refusal).toContain('ranked');
      expect(convertRow(row)).toBeNull();
    }
  });

  test('with a speaker that nobody knows is left alone', () => {
    expect(convertRow({ conversations: [{ from: 'martian', value: 'hi' }] })).toBeNull();
    expect(convertRow({ messages: [] })).toBeNull();
    expect(convertRow(7)).toBeNull();
  });
});
