import { describe, expect, test } from 'vitest';
import {
  type AnsweredRow,
  compareAnswers,
  compareHtml,
  compareMarkdown,
  compareText,
  conversationText,
  readSavedAnswers,
} from '../src/compare/index.js';
import { bootstrapDifference, mcnemarP, wilsonInterval } from '../src/stats/index.js';

const rows = ['one', 'two', 'three'].map((content, i) => ({
  id: `r-${i + 1}`,
  question: conversationText([{ role: 'user', content }]),
}));
const lines = (...values: object[]): string => values.map((value) => JSON.stringify(value)).join('\n');
const choice = (content: string | null) => ({ choices: [{ index: 0, message: { role: 'assistant', content } }] });
const batch = (custom_id: string, content: string, status_code = 200) => ({
  id: `batch_req_${custom_id}`,
  custom_id,
  response: { status_code, request_id: 'x', body: { object: 'chat.completion', ...choice(content) } },
  error: null,
});

describe('saved answers', () => {
  test.each([
    ['plain lines', lines({ answer: 'a' }, { answer: null }, { answer: 'c' }), 'order', ['a', null, 'c']],
    [
      'stored chat completions',
      lines(...['a', 'b', 'c'].map((text) => ({ object: 'chat.completion', metadata: {}, ...choice(text) }))),
      'order',
      ['a', 'b', 'c'],
    ],
    [
      'a list of them as the API returns it',
      JSON.stringify({ object: 'list', data: ['a', 'b', 'c'].map((text) => choice(text)) }, null, 2),
      'order',
      ['a', 'b', 'c'],
    ],
    [
      'responses, whose texts are put together',
      lines(
        ...['a', 'b', 'c'].map((text) => ({
          object: 'response',
          output: [
            { type: 'reasoning', content: [] },
            {
              type: 'message',
              content: [
                { type: 'output_text', text },
                { type: 'output_text', text: '!' },
              ],
            },
          ],
        })),
      ),
      'order',
      ['a!', 'b!', 'c!'],
    ],
    [
      'older completions',
      lines(...['a', 'b', 'c'].map((text) => ({ object: 'text_completion', choices: [{ text }] }))),
      'order',
      ['a', 'b', 'c'],
    ],
    ['a batch by the ids of rows', lines(batch('r-3', 'c'), batch('r-1', 'a')), 'id', ['a', null, 'c']],
    [
      'a batch numbered from 0, of which one failed',
      lines(batch('request-2', 'c'), batch('request-0', 'a'), batch('request-1', 'b', 500)),
      'id',
      ['a', null, 'c'],
    ],
    ['a batch numbered from 1', lines(batch('q3', 'c'), batch('q1', 'a')), 'id', ['a', null, 'c']],
    ['behind a byte order mark', `\ufeff${lines(batch('q3', 'c'))}\r\n`, 'id', [null, null, 'c']],
    [
      'answers in parts',
      lines(
        ...['one', 'two', 'three'].map((content) => ({
          messages: [
            { role: 'user', content },
            { role: 'assistant', content: [{ type: 'text', text: content }] },
          ],
        })),
      ),
      'question',
      ['one', 'two', 'three'],
    ],
    [
      'a batch whose request ended in an error',
      lines({ ...batch('r-1', 'a'), response: null, error: { code: 'expired' } }, batch('r-2', 'b')),
      'id',
      [null, 'b', null],
    ],
    [
      'stored completions that say in metadata which row they are of',
      lines({ metadata: { custom_id: 'r-2' }, ...choice('b') }),
      'id',
      [null, 'b', null],
    ],
    [
      'conversations, by what was asked',
      lines(
        {
          messages: [
            { role: 'user', content: 'three' },
            { role: 'assistant', content: 'c' },
          ],
        },
        {
          messages: [
            { role: 'user', content: [{ type: 'text', text: 'one' }] },
            { role: 'assistant', content: 'a' },
          ],
        },
      ),
      'question',
      ['a', null, 'c'],
    ],
  ])('%s', (_name, text, by, answers) => {
    expect(readSavedAnswers(text, rows)).toEqual({ answers, by });
  });

  test('rows that ask the same have answers of their own, in their order', () => {
    const asked = { id: '1', question: 'user: one' };
    const saved = lines(
      ...['a', 'b'].map((content) => ({
        messages: [
          { role: 'user', content: 'one' },
          { role: 'assistant', content },
        ],
      })),
    );
    expect(readSavedAnswers(saved, [asked, { ...asked, id: '2' }]).answers).toEqual(['a', 'b']);
  });

  test.each([
    ['', 'holds no answers'],
    [lines({ answer: 'a' }), '1 answers to 3 rows'],
    ['{"answer": "a"}\nnot JSON', 'Line 2 is no JSON object'],
    [lines({ answer: 'a' }, { text: 'b' }, { answer: 'c' }), 'Line 2 holds no answer'],
    [lines(batch('r-1', 'a'), batch('r-1', 'b')), 'Line 2 is a second answer'],
    [lines(batch('request-9', 'a')), 'ends in the number of none of 3'],
    [lines(batch('blue', 'a')), "is of 'blue'"],
    [lines(batch('q-1', 'a'), batch('q-2', 'b')), 'go from 1 to 2 for 3 rows: whether they count from 0 or from 1'],
    [
      lines({
        messages: [
          { role: 'user', content: 'four' },
          { role: 'assistant', content: 'd' },
        ],
      }),
      'None of the conversations asks',
    ],
  ])('%#: what cannot be matched is refused with its line', (text, message) => {
    expect(() => readSavedAnswers(text, rows)).toThrow(message);
  });
});

/** `right` has a letter a row: b both, o ours alone, t theirs alone, n neither. */
const answered = (right: string): AnsweredRow[] =>
  [...right].map((letter, i) => ({
    id: String(i + 1),
    question: `user: <q${i}> | "x"`,
    expected: 'yes',
    ours: 'bo'.includes(letter) ? 'yes' : 'no, not',
    theirs: 'bt'.includes(letter) ? 'yes' : 'no',
    isOursRight: 'bo'.includes(letter),
    isTheirsRight: 'bt'.includes(letter),
  }));

const facts = {
  ours: 'ft:tiny:default:a<b:1',
  theirs: 'old.jsonl',
  rows: 'valid.jsonl',
  check: 'it is the answer of the row',
  notes: ['Rows left out: 2, to which the old model has no saved answer.'],
  rowsMax: 3,
};

describe('a comparison', () => {
  test('has the figures that evaluations have', () => {
    const compared = compareAnswers(answered('bbbootnn'));
    const [ours, theirs] = [
      [1, 1, 1, 1, 1, 0, 0, 0],
      [1, 1, 1, 0, 0, 1, 0, 0],
    ];
    expect(compared).toMatchObject({
      n: 8,
      ours: { right: 5, value: 0.625, ...wilsonInterval(5, 8) },
      theirs: { right: 4, value: 0.5, ...wilsonInterval(4, 8) },
      difference: bootstrapDifference(ours, theirs),
      verdicts: { both: 3, onlyOurs: 2, onlyTheirs: 1, neither: 2, p: mcnemarP(2, 1) },
      decision: 'open',
      same: 3,
    });
    expect(compared.length).toMatchObject({ ours: (5 * 3 + 3 * 7) / 8, theirs: (4 * 3 + 4 * 2) / 8 });
    expect(compared.changed.map(({ id }) => id)).toEqual(['6', '4', '5']);
  });

  test.each([
    [`${'o'.repeat(30)}b`, 'better', 'is right more often than the old model on these 31 rows, by '],
    [`${'t'.repeat(30)}b`, 'worse', 'is right less often than the old model on these 31 rows, by '],
    ['bbbb', 'open', 'No difference can be shown on these 4 rows'],
    ['ooooo', 'open', 'No difference can be shown on these 5 rows: too few of them tell the two apart'],
    ['t', 'open', "on these 1 rows: too few of them tell the two apart (McNemar's exact p 1.000)"],
  ])('of %s says who is right more often, or that nobody can tell', (right, decision, sentence) => {
    const compared = compareAnswers(answered(right));
    expect(compared.decision).toBe(decision);
    for (const write of [compareText, compareMarkdown, compareHtml])
      expect(write(compared, { ...facts, ours: 'mine' })).toContain(sentence);
  });

  test('of no row is refused', () => {
    expect(() => compareAnswers([])).toThrow('no row with an answer of both');
  });
});

describe('a page of it', () => {
  const compared = compareAnswers(answered('bottttnb'));

  test('lists the rows that ours lost first, as many as asked for, and says how many there are', () => {
    const page = compareMarkdown(compared, facts);
    expect(page).toContain('## Rows that one of them alone got right (3 of 5)');
    const table = page.split('\n').filter((line) => /^\| \d/.test(line));
    expect(table.map((line) => line.split(' | ').slice(0, 2))).toEqual([
      ['| 3', 'theirs'],
      ['| 4', 'theirs'],
      ['| 5', 'theirs'],
    ]);
    expect(table[0]).toContain('user: &lt;q2&gt; \\| &quot;x&quot;');
  });

  test('for a browser holds no markup but its own, no script and nothing to fetch', () => {
    const page = compareHtml(compared, facts);
    expect(page).toContain('ft:tiny:default:a&lt;b:1');
    expect(page).toContain('&lt;q2&gt; | &quot;x&quot;');
    expect(page).not.toMatch(/<q\d|<script|https?:|url\(/);
    expect(page.match(/<tr>/g)).toHaveLength(1 + 3 + 1 + 4 + 1 + 3);
    expect(compareHtml(compareAnswers(answered('bb')), facts)).not.toContain('alone got right');
  });

  test('says how it was judged, what was left out and by what method', () => {
    for (const write of [compareMarkdown, compareHtml]) {
      const page = write(compared, facts);
      for (const part of ['it is the answer of the row', 'Rows left out: 2', 'McNemar', 'valid.jsonl'])
        expect(page).toContain(part.replace("'", '&#39;'));
    }
  });
});
