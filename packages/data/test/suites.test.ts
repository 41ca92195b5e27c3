import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { readSuite, type SuiteOptions } from '../src/index.js';

const dir = mkdtempSync(join(tmpdir(), 'moraine-suites-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

let files = 0;
function write(text: string | Buffer): string {
  files += 1;
  const file = join(dir, `${files}.jsonl`);
  writeFileSync(file, text);
  return file;
}
const linesOf = (rows: readonly unknown[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

/** The items of some rows. */
const read = async (suite: string, rows: readonly unknown[], options: Partial<SuiteOptions> = {}) =>
  (await readSuite({ suite, file: write(linesOf(rows)), ...options })).items;

describe('a row of a suite becomes an item', () => {
  it('HellaSwag: the context is put together and both sides are cleaned of WikiHow’s marks', async () => {
    const row = {
      ind: 7,
      activity_label: 'Tea ',
      ctx_a: 'Boil water. [header] Pour it.',
      ctx_b: 'the CUP',
      endings: ['breaks [title] Sweep', ' is  full. [step] Drink', 'sings', 'is sold'],
      label: '1',
    };
    const [item] = await read('hellaswag', [row]);
    expect(item?.id).toBe('7');
    expect(item?.task).toMatchObject({
      contexts: Array(4).fill('Tea : Boil water. Pour it. The cup'),
      continuations: [' breaks. Sweep', ' is full. Drink', ' sings', ' is sold'],
      choices: ['breaks. Sweep', 'is full. Drink', 'sings', 'is sold'],
      gold: 1,
    });
  });

  it('ARC: the key is looked for among the labels, letters or digits', async () => {
    const choices = { text: ['a rock', 'a fern'], label: ['1', '2'] };
    const row = { id: 'x-1', question: 'Which grows?', choices, answerKey: '2' };
    const ready = { query: 'Question: Which grows?', choices: ['a rock', 'a fern'], gold: 1 };
    const items = await read('arc_easy', [row, ready]);
    expect(items[0]?.task).toEqual(items[1]?.task);
    expect(items[0]?.task).toMatchObject({ contexts: Array(2).fill('Question: Which grows?\nAnswer:'), gold: 1 });
  });

  it('WinoGrande: contexts differ, what follows the gap is scored', async () => {
    const row = { sentence: 'Ann saw Bo because _ waved a flag.', option1: 'Ann', option2: 'Bo', answer: '2' };
    const [item] = await read('winogrande', [row]);
    expect(item?.task).toEqual({
      kind: 'choice',
      contexts: ['Ann saw Bo because Ann', 'Ann saw Bo because Bo'],
      continuations: [' waved a flag.', ' waved a flag.'],
      choices: ['Ann', 'Bo'],
      gold: 1,
    });
  });

  it('MMLU’s form: letters are scored, and the answer may be a place or a letter', async () => {
    const row = { question: ' Two and two? ', choices: ['3', '4', '5'], answer: 1 };
    const items = await read('mmlu', [row, { ...row, answer: 'B' }]);
    for (const { task } of items)
      expect(task).toMatchObject({
        contexts: Array(3).fill('Two and two?\nA. 3\nB. 4\nC. 5\nAnswer:'),
        continuations: [' A', ' B', ' C'],
        gold: 1,
      });
  });

  it('PubMedQA: an object of rows by their ids is read, contexts line by line', async () => {
    const rows = { 123: { QUESTION: 'Is it so?', CONTEXTS: ['One.', 'Two.'], final_decision: 'maybe' } };
    const { items } = await readSuite({ suite: 'pubmedqa', file: write(JSON.stringify(rows)) });
    expect(items[0]).toMatchObject({ id: '123', prompt: 'Abstract: One.\nTwo.\nQuestion: Is it so?\nAnswer:' });
    expect(items[0]?.task).toMatchObject({ gold: 2, choices: ['yes', 'no', 'maybe'] });
  });

  it('requests of the OLMES family: one item of each document, without the requests that leave the question out', async () => {
    const request = (doc_id: number, context: string, continuation: string) => ({
      doc_id,
      label: 1,
      doc: { query: 'Q' },
      request: { context, continuation },
    });
    const items = await read('rc_5shot', [
      request(0, 'five. Q', ' no'),
      request(0, 'five. Q', ' yes'),
      request(1_000_000, 'Answer:', ' no'),
      request(1_000_000, 'Answer:', ' yes'),
      request(1, 'five. R', ' no'),
      request(1, 'five. R', ' yes'),
    ]);
    expect(items.map(({ id, prompt }) => [id, prompt])).toEqual([
      ['0', 'Q'],
      ['1', 'Q'],
    ]);
    expect(items[1]?.task).toMatchObject({ contexts: ['five. R', 'five. R'], choices: ['no', 'yes'], gold: 1 });
  });

  it('financial reports: a page with several questions makes several items', async () => {
    const page = {
      table: {
        table: [
          ['', '2019'],
          ['Sales', '$5'],
        ],
      },
      paragraphs: [{ text: 'All is well.' }],
      questions: [
        { uid: 'a', question: 'Sales?', answer: ['$5', ''] },
        { uid: 'b', question: 'Change?', answer: -12.6 },
      ],
    };
    const items = await read('finance', [page]);
    expect(items.map(({ id, task }) => [id, 'expected' in task && task.expected])).toEqual([
      ['a', '$5'],
      ['b', '-12.6'],
    ]);
    expect(items[1]?.prompt).toBe(' | 2019\nSales | $5\nAll is well.\nQuestion: Change?\nAnswer:');
  });

  it('plain rows: each is scored as it is trained on', async () => {
    const items = await read('file', [{ prompt: 'a', completion: 'b' }]);
    expect(items[0]).toMatchObject({ id: '1', prompt: 'a', task: { kind: 'loss', row: { completion: 'b' } } });
  });
});

describe('exported OpenAI evals', () => {
  const grader = {
    type: 'string_check',
    input: '{{ sample.output_text }}',
    reference: '{{item.label}}',
    operation: 'ilike',
  };
  const asked = [
    { role: 'developer', content: 'One word.' },
    { role: 'user', content: { type: 'input_text', text: 'Mood of {{ item.text.body }}?' } },
  ];
  const source = { data_source: { type: 'completions', input_messages: { type: 'template', template: asked } } };
  const item = { text: { body: 'I sing' }, label: 'glad' };
  const lines = (patch: object) => [
    { object: 'eval', testing_criteria: [{ ...grader, ...patch }] },
    source,
    { item },
    { item: { ...item, label: 'sad' } },
  ];

  it('ask each item by the template and judge by the criterion, as lines or as one object', async () => {
    const items = await read('openai_evals', lines({}));
    expect(items.map(({ id, task }) => [id, 'expected' in task && task.expected])).toEqual([
      ['1', 'glad'],
      ['2', 'sad'],
    ]);
    expect(items[0]).toMatchObject({
      prompt: 'One word.\n\nMood of I sing?',
      task: { isTurn: true, check: { type: 'string', operation: 'ilike' } },
    });
    const whole = { eval: { testing_criteria: [grader] }, ...source, items: [item] };
    expect((await read('openai_evals', [whole]))[0]?.task).toEqual(items[0]?.task);
  });

  it('by text similarity have its threshold', async () => {
    const [like] = await read(
      'openai_evals',
      lines({ type: 'text_similarity', evaluation_metric: 'fuzzy_match', pass_threshold: 0.8 }),
    );
    expect(like?.task).toMatchObject({ check: { type: 'similarity', least: 0.8 } });
  });

  it('by a program give it the columns of each item; the best score passes unless a threshold is given', async () => {
    const source = 'def grade(sample, item):\n    return 0.5\n';
    const items = await read('openai_evals', lines({ type: 'python', source, input: undefined, reference: undefined }));
    expect(items.map(({ task }) => 'check' in task && task.check)).toEqual([
      { type: 'python', source, item, least: 1 },
      { type: 'python', source, item: { ...item, label: 'sad' }, least: 1 },
    ]);
    const [half] = await read('openai_evals', lines({ type: 'python', source, pass_threshold: 0.5 }));
    expect(half?.task).toMatchObject({ check: { least: 0.5 }, expected: '' });
  });

  const refused: [string, object, RegExp][] = [
    [
      'score_model',
      // Graders that ask a model give it messages, and one made of several has no input of its own.
      { type: 'score_model', model: 'gpt-4o', input: [{ role: 'user', content: 'Score {{item.label}}.' }] },
      /^Line 1: The grader 'score_model' is not taken: it asks another model\.$/,
    ],
    ['a program without the function', { type: 'python', source: 'x = 1' }, /The program has no function grade/],
    ['label_model', { type: 'label_model', input: [], labels: ['a'] }, /'label_model' is not taken: it asks/],
    ['multi', { type: 'multi', input: undefined, graders: {} }, /'multi' is not taken: it is made of several/],
    ['an unknown one', { type: 'toString', input: undefined }, /The grader 'toString' is not known/],
    ['cosine', { type: 'text_similarity', evaluation_metric: 'cosine' }, /The similarity "cosine" is not taken/],
    ['another input', { input: '{{item.label}}' }, /The grader looks at "\{\{item\.label\}\}"/],
    ['a column that the item lacks', { reference: '{{item.name}}' }, /^Line 3: The item has no text 'name'\.$/],
  ];
  it.each(refused)('%s is named as not taken', async (_name, patch, message) => {
    await expect(read('openai_evals', lines(patch))).rejects.toMatchObject({
      code: 'invalid_file',
      message: expect.stringMatching(message),
    });
  });
});

describe('examples', () => {
  const rows = ['one', 'two', 'three'].map((word) => ({ question: word, answer: `#### ${word.length}` }));

  it('are the first rows of the file, which are not asked then', async () => {
    const items = await read('gsm8k', rows, { fewshot: 2 });
    expect(items).toHaveLength(1);
    expect(items[0]).toMatchObject({
      index: 0,
      id: '3',
      prompt: 'Question: three\nAnswer:',
      task: {
        context: 'Question: one\nAnswer: #### 3\n\nQuestion: two\nAnswer: #### 3\n\nQuestion: three\nAnswer:',
      },
    });
  });

  it('come from a file of their own where one is named, and every row is asked', async () => {
    const items = await read('gsm8k', rows.slice(1), { fewshot: 1, examplesFile: write(linesOf(rows)) });
    expect(items.map(({ id }) => id)).toEqual(['1', '2']);
    expect(items[0]?.task).toMatchObject({ context: 'Question: one\nAnswer: #### 3\n\nQuestion: two\nAnswer:' });
  });

  it('are refused where there are too few, or all rows would be examples', async () => {
    await expect(read('gsm8k', rows)).rejects.toMatchObject({ code: 'invalid_value', param: 'fewshot' });
    await expect(read('gsm8k', rows, { fewshot: 3 })).rejects.toMatchObject({ code: 'invalid_file', param: 'fewshot' });
  });
});

describe('a limit', () => {
  const rows = Array.from({ length: 50 }, (_, i) => ({ question: `${i}`, answer: '1' }));
  const ids = async (options: Partial<SuiteOptions>) =>
    (await read('gsm8k', rows, { fewshot: 0, ...options })).map(({ id }) => Number(id));

  it('takes the first items without a seed', async () => {
    expect(await ids({ limit: 3 })).toEqual([1, 2, 3]);
  });

  it('draws with a seed, the same each time and in the order of the file', async () => {
    const drawn = await ids({ limit: 10, seed: 4 });
    expect(drawn).toHaveLength(10);
    expect(drawn).toEqual([...drawn].sort((a, b) => a - b));
    expect(drawn).not.toEqual(await ids({ limit: 10, seed: 5 }));
    expect(await ids({ limit: 10, seed: 4 })).toEqual(drawn);
  });
});

describe('files', () => {
  const row = { query: 'Q', choices: ['a', 'b'], gold: 0 };

  it.each([
    ['lines packed by gzip', gzipSync(linesOf([row, row]))],
    ['a JSON list', JSON.stringify([row, row], null, 2)],
    ['lines with blank ones between', `\n${JSON.stringify(row)}\r\n\n${JSON.stringify(row)}`],
  ])('%s are read', async (_name, text) => {
    const { items } = await readSuite({ suite: 'choices', file: write(text) });
    expect(items).toHaveLength(2);
  });

  const bad: [string, unknown, { message: RegExp; param: string }][] = [
    [
      'a column that is missing',
      { query: 'Q', choices: ['a', 'b'] },
      { message: /^Line 2: 'gold' is missing; the row has query, choices\.$/, param: 'line 2/gold' },
    ],
    [
      'a place that no choice has',
      { ...row, gold: 2 },
      { message: /'gold' is 2, none of the 2 choices/, param: 'line 2/gold' },
    ],
    ['a split without labels', { ...row, gold: '' }, { message: /'gold' is ""/, param: 'line 2/gold' }],
    [
      'one choice',
      { ...row, choices: ['a'] },
      { message: /'choices' has 1 texts; 2 are needed/, param: 'line 2/choices' },
    ],
    [
      'an empty choice',
      { ...row, choices: ['a', ''] },
      { message: /'choices' has an empty text/, param: 'line 2/choices/1' },
    ],
    ['a list', [1], { message: /^Line 2: not an object\.$/, param: 'line 2' }],
  ];
  it.each(bad)('%s is refused by line and column', async (_name, second, problem) => {
    await expect(read('choices', [row, second])).rejects.toMatchObject({
      code: 'invalid_file',
      message: expect.stringMatching(problem.message),
      param: problem.param,
      hint: expect.any(String),
    });
  });

  it('a line that is no JSON is named', async () => {
    await expect(
      readSuite({ suite: 'choices', file: write(`${JSON.stringify(row)}\n{"query": `) }),
    ).rejects.toMatchObject({
      code: 'invalid_file',
      param: 'line 2',
    });
    await expect(readSuite({ suite: 'choices', file: write('') })).rejects.toMatchObject({ code: 'invalid_file' });
  });

  it('a pattern that cannot be read and an operation that nobody knows are refused by line', async () => {
    const prompt = 'Say yes.';
    await expect(read('pattern', [{ prompt, pattern: '(' }])).rejects.toMatchObject({ param: 'line 1/pattern' });
    await expect(read('string_check', [{ prompt, reference: 'yes', operation: 'is' }])).rejects.toMatchObject({
      param: 'line 1/operation',
      hint: 'Known: eq, ne, like, ilike: equal, not equal, holds it, holds it in any case.',
    });
  });

  it('a suite that does not exist is refused with the nearest', async () => {
    await expect(read('helaswag', [row])).rejects.toMatchObject({
      code: 'invalid_value',
      param: 'suite',
      hint: expect.stringMatching(/^Did you mean 'hellaswag'\?/),
    });
  });
});
