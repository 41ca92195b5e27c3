import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { playEvaluation, prepare } from '../../api/test/fixtures.js';
import { type CliApi, openApi } from './api.js';
import { columnsOf } from './stack.js';

// What the commands say of evaluations, whose items a worker of this process records.
let { api, client, cli, json, at, close } = {} as CliApi;
let model: string;
let file: string;
const ofBase = (...words: string[]) => ['--model', model, '--suite', 'file', '--file', file, ...words];

/** The id of an evaluation that has ended with these verdicts. */
async function ended(rights: readonly boolean[]): Promise<string> {
  const { id } = await json('evaluations', 'create', ...ofBase());
  await playEvaluation(api.services, rights);
  return id;
}

beforeAll(async () => {
  ({ api, client, cli, json, at, close } = await openApi());
  ({ model, file } = await prepare(api));
});
afterAll(() => close());

test('ls says that there are none, and that none match', async () => {
  expect((await cli('evaluations', 'ls')).output).toBe('No evaluations yet.\n');
  expect((await cli('evaluations', 'ls', '--status', 'failed')).output).toBe('No evaluations match.\n');
});

describe('evaluations create', () => {
  test('asks for all that the options say, and says how it is watched', async () => {
    const words = ['--limit', '5', '--seed', '3', '--pool', 'none', '--priority', '70', '--metadata', 'team=blue'];
    const { status, output } = await cli('evaluations', 'create', ...ofBase(...words));
    const [, id = ''] = /^(evaltask_\w+): queued\.\nWatch it: npx moraine evaluations watch \1$/m.exec(output) ?? [];
    expect(status).toBe(0);
    const asked = { model, suite: 'file', file, limit: 5, seed: 3, pool: 'none', priority: 70 };
    expect(await client.call('getEvaluation', { params: { id } })).toMatchObject({
      ...asked,
      metadata: { team: 'blue' },
    });
    await cli('evaluations', 'cancel', id);
  });

  test('uploads rows and examples of this machine, and passes the number of examples', async () => {
    const question = (n: number): string => `${JSON.stringify({ query: `${n}?`, choices: ['a', 'b'], gold: n % 2 })}\n`;
    writeFileSync(at('asked.jsonl'), [1, 2, 3].map(question).join(''));
    writeFileSync(at('shown.jsonl'), [4, 5].map(question).join(''));
    const words = [
      '--suite',
      'choices',
      '--file',
      at('asked.jsonl'),
      '--examples',
      at('shown.jsonl'),
      '--fewshot',
      '2',
    ];
    const made = await json('evaluations', 'create', '--model', model, ...words, '--pool', 'none');
    expect(made).toMatchObject({ suite: 'choices', fewshot: 2, status: 'queued' });
    const names = await Promise.all(
      [made.file, made.examples].map(async (id) => (await client.call('getFile', { params: { id } })).filename),
    );
    expect(names).toEqual(['asked.jsonl', 'shown.jsonl']);
    await cli('evaluations', 'cancel', made.id);
  });

  test('asks for samples in one key, whose other parts need their number', async () => {
    writeFileSync(at('answers.jsonl'), '{"prompt": "1+1=", "expected": "2"}\n');
    const words = ['--model', model, '--suite', 'answers', '--file', at('answers.jsonl'), '--pool', 'none'];
    const more = ['--samples', '8', '--temperature', '0.4', '--top-p', '0.9', '--sample-seed', '5', '--ks', '1,4'];
    const made = await json('evaluations', 'create', ...words, ...more);
    expect(made.sampling).toEqual({ samples: 8, temperature: 0.4, top_p: 0.9, seed: 5, ks: [1, 4] });
    expect((await cli('evaluations', 'show', made.id)).output).toContain(
      'samples     8 samples each at temperature 0.4, top-p 0.9, seed 5',
    );
    await cli('evaluations', 'cancel', made.id);
    const alone = await cli('evaluations', 'create', ...words, '--ks', '1,4');
    expect([alone.status, alone.output]).toEqual([2, expect.stringContaining('--samples names none')]);
    const above = await cli('evaluations', 'create', ...words, '--samples', '2', '--ks', '1,4');
    expect([above.status, above.output]).toEqual([1, expect.stringContaining('pass@4 of 2 samples')]);
  });

  test.each([
    [['--suite', 'file', '--file', 'f'], '--model is missing.', 2],
    [['--model', 'm', '--file', 'f'], '--suite is missing.', 2],
    [['--model', 'm', '--suite', 'file'], '--file is missing.', 2],
    [['--model', 'm', '--suite', 'file', '--file', 'none.jsonl'], 'There is no file', 1],
    [['--model', 'm', '--suite', 'file', '--file', 'f', '--lambda', '2'], "--lambda is '2'", 2],
    [['--model', 'm', '--suite', 'file', '--file', 'f', '--priority', '101'], "--priority is '101'", 2],
    [['more'], "'more' is one argument too many.", 2],
  ])('%j is refused', async (words, message, wanted) => {
    const { status, output } = await cli('evaluations', 'create', ...words);
    expect([status, output]).toEqual([wanted, expect.stringContaining(message)]);
  });

  test('eval takes one file, not two', async () => {
    const { status, output } = await cli('eval', 'rows.jsonl', ...ofBase());
    expect([status, output]).toEqual([
      2,
      expect.stringContaining(`Two files are named: rows.jsonl and --file ${file}`),
    ]);
  });
});

test('watch says that it waits and why, then how far it is, then the figures', async () => {
  const { id } = await json('evaluations', 'create', ...ofBase());
  const watching = cli('evaluations', 'watch', id);
  await new Promise((resolve) => setTimeout(resolve, 100));
  await playEvaluation(api.services, [true, true, false]);
  const { status, output } = await watching;
  expect(status).toBe(0);
  const lines = output.trimEnd().split('\n');
  expect(lines[0]).toMatch(/^queued: .*worker/);
  expect(lines.slice(-6).map((line) => line.split(/ {2,}/)[0])).toEqual([
    ...[`${id}: succeeded`, 'Rows as they are trained on: 3 items; intervals of 95 %'],
    ...['bits_per_byte', 'exact_match', 'nats_per_token', 'token_accuracy'],
  ]);
  // 3 items of 1, 2 and 3 nats of text, 8 bytes each.
  expect(output).toMatch(new RegExp(`^bits_per_byte +${(6 / 24 / Math.LN2).toFixed(5)}`, 'm'));
  expect(output).toMatch(/^exact_match +66\.67 % {2}\[20\.77 %, 93\.85 %\]$/m);
  expect(await json('evaluations', 'watch', id)).toMatchObject({ id, status: 'succeeded', summary: { n: 3 } });
});

describe('of an evaluation that succeeded', () => {
  let one: string;
  let other: string;
  beforeAll(async () => {
    one = await ended([true, false, true, false, true]);
    other = await ended([true, true, true, true, true]);
  });

  test('show names what was asked, how far it came and its figures', async () => {
    const { status, output } = await cli('evaluations', 'show', one);
    expect(status).toBe(0);
    for (const line of [`evaluation  ${one}`, 'status      succeeded', `base        ${model}`, 'items       5 of 5'])
      expect(output).toContain(line);
    expect(output).toMatch(/^attempts +1 finished$/m);
    expect(output).toMatch(/^exact_match +60\.00 %/m);
    expect(output).not.toMatch(/^(why|adapter|lambda|limit)/m);
    expect(await json('evaluations', 'show', one)).toMatchObject({ object: 'evaluation.task', id: one });
  });

  test('ls filters by model, suite and status and shows the figure it is known by', async () => {
    const list = await json('evaluations', 'ls', '--status', 'succeeded', '--suite', 'file', '--model', model);
    expect(list.map(({ id }: { id: string }) => id).slice(0, 2)).toEqual([other, one]);
    const [titles, , newest] = (await cli('evaluations', 'ls', '--status', 'succeeded')).output
      .split('\n')
      .map(columnsOf);
    expect(titles).toEqual(['EVALUATION', 'STATUS', 'SUITE', 'ITEMS', 'FIGURE', 'MODEL', 'LAMBDA']);
    expect(newest).toEqual([other, 'succeeded', 'file', '5/5', (15 / 40 / Math.LN2).toFixed(5), model]);
    expect((await cli('evaluations', 'ls', '--model', model, '--suite', 'choices', '--status', 'running')).output).toBe(
      'No evaluations match.\n',
    );
  });

  test('items pages on behind the last one, and takes those of one verdict', async () => {
    const indexes = async (...words: string[]) =>
      (await cli('evaluations', 'items', one, '--json', ...words)).output
        .trim()
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line).index);
    expect(await indexes()).toEqual([0, 1, 2, 3, 4]);
    expect(await indexes('--verdict', 'wrong')).toEqual([1, 3]);
    expect(await indexes('--verdict', 'right', '--limit', '2')).toEqual([0, 2]);
    expect(await indexes('--after', '2')).toEqual([3, 4]);
    expect(await indexes('--after', '4')).toEqual([]);
    const { output } = await cli('evaluations', 'items', one, '--limit', '2');
    expect(output).toMatch(/^0 {2}0 {2}right\n {2}prompt {4}q\n {2}nats 2, bytes 8, tokens 4, /);
    expect(output).toContain('There are more: --all lists every one, --after 1 goes on.');
    expect((await cli('evaluations', 'items', one, '--all')).output).not.toContain('There are more');
  });

  test('events are oldest first', async () => {
    const lines = (await cli('evaluations', 'events', one)).output.trimEnd().split('\n');
    expect(lines[0]).toMatch(/^\d{4}-\S+Z .*(created|queued)/i);
    expect(lines.at(-1)).toContain('The evaluation succeeded: bits_per_byte ');
  });

  test('compare has the paired difference with its interval, who alone was right, and the items that differ', async () => {
    const { status, output } = await cli('evaluations', 'compare', other, '--with', one, '--metric', 'exact_match');
    expect(status).toBe(0);
    expect(output).toContain('exact_match on the same 5 items');
    expect(output).toMatch(/difference 40\.00 % {2}\[0\.00 %, 80\.00 %\]/);
    expect(output).toMatch(/this alone 2, the baseline alone 0/);
    const compared = await json(
      'evaluations',
      'compare',
      other,
      '--with',
      one,
      '--metric',
      'exact_match',
      '--limit',
      '1',
    );
    expect(compared).toMatchObject({ n: 5, difference: 0.4, items: [{ index: 1, value: 1, baseline: 0 }] });
    const missing = await cli('evaluations', 'compare', other);
    expect([missing.status, missing.output]).toEqual([2, expect.stringContaining('--with is missing.')]);
  });

  test('cancel is refused, and of one that there is not every verb says so', async () => {
    expect(await cli('evaluations', 'cancel', one)).toMatchObject({
      status: 1,
      output: expect.stringContaining('succeeded'),
    });
    for (const verb of ['show', 'items', 'events', 'watch', 'cancel'])
      expect(await cli('evaluations', verb, 'evaltask_none')).toMatchObject({
        status: 1,
        output: expect.stringContaining("'evaltask_none'"),
      });
  });
});
