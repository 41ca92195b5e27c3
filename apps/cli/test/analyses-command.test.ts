import { readFileSync, writeFileSync } from 'node:fs';
import { drawCanaries } from '@moraine/contract/analyses';
import { claimRun, finishAnalysis, markAnalysing, recordRows } from '@moraine/services';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { prepare, registerTestWorker, submit, train } from '../../api/test/fixtures.js';
import { type CliApi, openApi } from './api.js';
import { columnsOf } from './stack.js';

// What the commands say of analyses, whose rows a worker of this process records.
let { api, client, cli, json, at, close } = {} as CliApi;
let model: string;
let file: string;
let id: string;

/** Plays a worker that takes the next analysis and measures two canaries, of which it has the second one whole. */
async function playAnalysis(): Promise<void> {
  const s = api.services;
  const claim = await claimRun(s, { workerId: await registerTestWorker(s), pool: 'default' });
  if (claim?.kind !== 'analyse') throw new Error('no analysis');
  const device = { kind: 'cpu' as const, name: 'test', tensorflow: '2', threads: 1 };
  const begun = { from: 0, total: 2, others: 0, secondsToReady: 1 };
  await markAnalysing(s, claim.token, { type: 'analysing', at: 0, device, ...begun });
  const row = { is_planted: true, log_probability: -1, candidates: 1024 };
  const known = [
    { ...row, id: 'c-0', rank: 512, exposure: 1, is_extracted: false, characters: 0.25, answer: '12\n4' },
    { ...row, id: 'c-1', rank: 1, exposure: 10, is_extracted: true, characters: 1, answer: '777' },
  ];
  await recordRows(
    s,
    claim.token,
    known.map((each, index) => ({ index, row: each })),
  );
  await finishAnalysis(s, claim.token);
}

const asked = (...more: string[]) => ['--kind', 'canaries', '--model', model, '--file', at('canaries.json'), ...more];

beforeAll(async () => {
  ({ api, client, cli, json, at, close } = await openApi());
  ({ model, file } = await prepare(api));
  const drawn = drawCanaries('digits', { count: 2, controls: 0, seed: 1 });
  const planted = { kind: 'digits', seed: 1, repeat: 1, row_format: 'chat', ...drawn };
  writeFileSync(at('canaries.json'), JSON.stringify({ format: 'moraine-canaries', format_version: 1, ...planted }));
});
afterAll(() => close());

test('ls says that there are none, and that none match', async () => {
  expect((await cli('analyses', 'ls')).output).toBe('No analyses yet.\n');
  expect((await cli('analyses', 'ls', '--kind', 'weights')).output).toBe('No analyses match.\n');
});

test('create uploads the canaries, asks for all that the options say, and watch shows the end', async () => {
  const { status, output } = await cli('analyses', 'create', ...asked('--priority', '70', '--metadata', 'team=blue'));
  [, id = ''] = /^(\w+): queued\.\nWatch it: npx moraine analyses watch \1$/m.exec(output) ?? [];
  expect(status).toBe(0);
  const made = await client.call('getAnalysis', { params: { id } });
  expect(made).toMatchObject({ model, priority: 70, metadata: { team: 'blue' }, ask: { kind: 'canaries' } });
  const watching = cli('analyses', 'watch', id);
  await playAnalysis();
  const watched = await watching;
  expect(watched.status).toBe(0);
  expect(watched.output).toContain(`${id}: succeeded\n`);
  // Mean of 1 and 10 bits; one of two is written whole.
  expect(watched.output).toMatch(/^planted +2 +5\.50\S* .* 1 \[\d+ %, \d+ %\] /m);
});

describe('of an analysis that succeeded', () => {
  test('ls and show name what was asked, how far it came and its figures', async () => {
    const listed = (await cli('analyses', 'ls', '--status', 'succeeded')).output.split('\n');
    expect(columnsOf(listed[2])).toEqual([id, 'succeeded', 'canaries', '2/2', model]);
    const { output } = await cli('analyses', 'show', id);
    for (const line of [
      `analysis  ${id}`,
      'status    succeeded',
      `base      ${model}`,
      'kind      canaries',
      'rows      2 of 2',
    ])
      expect(output).toContain(line);
    expect(output).not.toMatch(/^(why|adapter|lambda)/m);
    expect(await json('analyses', 'show', id)).toMatchObject({
      id,
      status: 'succeeded',
      summary: { kind: 'canaries' },
    });
  });

  test('rows has a line each, as JSON an object each, and pages on', async () => {
    const lines = (await cli('analyses', 'rows', id)).output.trimEnd().split('\n').slice(2).map(columnsOf);
    expect(lines.map((cells) => cells.map((cell) => cell.trim()))).toEqual([
      ['c-0', '512 of 1024', '1.00', '25 %', '12⏎4'],
      ['c-1', '1 of 1024', '10.00', 'all', '777'],
    ]);
    const { output } = await cli('analyses', 'rows', id, '--limit', '1');
    expect(output).toContain('There are more: --all lists every one, --after 0 goes on.');
    expect(await json('analyses', 'rows', id, '--after', '0')).toMatchObject({ index: 1, row: { id: 'c-1' } });
    expect((await cli('analyses', 'rows', id, '--after', '1')).output).toBe('');
  });

  test('events are oldest first, and cancel is refused', async () => {
    const lines = (await cli('analyses', 'events', id)).output.trimEnd().split('\n');
    expect(lines.at(-1)).toContain('The analysis succeeded: exposure 5.50');
    expect(await cli('analyses', 'cancel', id)).toMatchObject({
      status: 1,
      output: expect.stringContaining('succeeded'),
    });
  });
});

test('course draws what was measured of a run, and says in each form where that is nothing', async () => {
  const run = await submit(api, { model, file });
  await train(api.services, run.id);
  expect((await cli('analyses', 'course', run.id)).output).toBe('Nothing is measured yet.\n');
  const tuned = (await client.call('getRun', { params: { id: run.id } })).fine_tuned_model ?? '';
  await json('analyses', 'create', '--kind', 'canaries', '--model', tuned, '--file', at('canaries.json'));
  await playAnalysis();
  const course = (...more: string[]) => cli('analyses', 'course', run.id, '--kind', 'canaries', ...more);
  expect((await course()).output).toMatch(/^\| \d+ \| planted \| 2 \| 5\.5 /m);
  expect((await course('--format', 'svg', '--out', at('course.svg'))).output).toBe(`${at('course.svg')}\n`);
  expect(readFileSync(at('course.svg'), 'utf8')).toContain('exposure over training');
  expect(await json('analyses', 'course', run.id, '--kind', 'canaries')).toMatchObject({ points: [{}], waiting: 0 });
  expect(await course('--analysis', 'analysis_none')).toMatchObject({ status: 1 });
});

test('one that waits is cancelled', async () => {
  const waiting = await json('analyses', 'create', ...asked('--pool', 'none'));
  expect((await cli('analyses', 'cancel', waiting.id)).output).toBe(`${waiting.id}: cancelled\n`);
  expect(await cli('analyses', 'watch', waiting.id)).toMatchObject({ status: 1 });
});

test.each([
  [['--model', 'tiny'], '--kind is missing.', 2],
  [['--kind', 'weihgts', '--model', 'tiny'], "Did you mean 'weights'?", 2],
  [['--kind', 'canaries', '--model', 'tiny'], '--file is missing.', 2],
  [['--kind', 'canaries', '--model', 'tiny', '--file', 'f', '--k', '3'], '--k has no meaning for canaries.', 2],
  [['--kind', 'weights', '--model', 'tiny', '--file', 'f'], '--file has no meaning for weights.', 2],
  [['--kind', 'weights', '--model', 'tiny', '--epsilon', '2'], "--epsilon is '2'", 2],
  [['more', '--kind', 'weights'], "'more' is one argument too many.", 2],
])('analyses create %j is refused', async (words, message, wanted) => {
  const { status, output } = await cli('analyses', 'create', ...words);
  expect([status, output]).toEqual([wanted, expect.stringContaining(message)]);
});

test('an analysis that there is not is not found, by any verb', async () => {
  for (const verb of ['show', 'rows', 'events', 'watch', 'cancel'])
    expect(await cli('analyses', verb, 'analysis_none')).toMatchObject({
      status: 1,
      output: expect.stringContaining("'analysis_none'"),
    });
});
