import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { moraineOnce } from './stack.js';

const repository = path.join(import.meta.dirname, '../../..');

describe('a base that is served', () => {
  const words = ['local', 'serve', '--base', 'examples/base', '--name', 'mine', '--port', '0', '--key', 'k'];
  const dir = mkdtempSync(path.join(tmpdir(), 'moraine serve '));
  let child: ChildProcessWithoutNullStreams;
  let address: string;

  beforeAll(async () => {
    child = spawn(process.execPath, ['apps/cli/bin/moraine.mjs', ...words, '--context', '64'], { cwd: repository });
    const [first] = (await once(createInterface(child.stdout), 'line')) as [string];
    address = /^One model answers at (http:\S+): mine\.$/.exec(first)?.[1] ?? first;
  });
  afterAll(() => {
    child.kill('SIGKILL');
    rmSync(dir, { recursive: true });
  });

  const post = async (endpoint: string, body: object) => {
    const answer = await fetch(`${address}/${endpoint}`, {
      method: 'POST',
      headers: { authorization: 'Bearer k', 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'mine', temperature: 0, ...body }),
    });
    return (await answer.json()) as { choices: { message: { content: string } }[] };
  };

  test('answers at the address that is printed, to who has the key', async () => {
    const models = await fetch(`${address}/models`, { headers: { authorization: 'Bearer k' } });
    expect(await models.json()).toMatchObject({ data: [{ id: 'mine' }] });
    expect((await fetch(`${address}/models`)).status).toBe(401);
    const answer = await post('completions', { prompt: 'One', max_tokens: 3 });
    expect(answer).toMatchObject({ object: 'text_completion', usage: { completion_tokens: 3 } });
  });

  describe('beside the saved answers of another model', () => {
    const at = (name: string) => path.join(dir, name);
    const save = (name: string, rows: object[]) =>
      writeFileSync(at(name), rows.map((row) => JSON.stringify(row)).join('\n'));
    const conversation = (question: string, answer: string) => ({
      messages: [
        { role: 'user', content: question },
        { role: 'assistant', content: answer },
      ],
    });
    const compare = (...rest: string[]) =>
      moraineOnce([
        ...['compare', '--rows', at('rows.jsonl'), '--ours', 'mine', '--theirs', at('theirs.jsonl'), '--url', address],
        ...['--key', 'k', '--max-tokens', '8', ...rest],
      ]);
    let own: string;

    beforeAll(async () => {
      const asked = { messages: [{ role: 'user', content: 'Hello?' }], max_tokens: 8 };
      own = (await post('chat/completions', asked)).choices[0]?.message.content ?? '';
      const call = { id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } };
      const calls = {
        messages: [
          { role: 'user', content: 'Call!' },
          { role: 'assistant', tool_calls: [call] },
        ],
      };
      // Ours is right on the first, theirs on the second; the third was not answered, the fourth is no text, the fifth too long for ours.
      const rows = [conversation('Hello?', own), conversation('Bye?', 'zzz'), conversation('Third?', 'x'), calls];
      save('rows.jsonl', [...rows, conversation('so '.repeat(60), 'zzz')]);
      save('theirs.jsonl', [
        ...[{ answer: 'nothing' }, { answer: ' ZZZ. ' }, { answer: null }, { answer: '' }, { answer: 'zzz' }],
      ]);
    });

    test('is right where it is, on the rows that both answered, and says which were left out', async () => {
      const { status, output } = await compare('--json');
      expect([status, own.length > 0]).toEqual([0, true]);
      const { rows, n, verdicts, notes } = JSON.parse(output);
      expect(n).toBe(3);
      expect(verdicts).toMatchObject({ both: 0, onlyOurs: 1, onlyTheirs: 2, neither: 0 });
      expect(rows[0]).toMatchObject({ id: '1', ours: own, theirs: 'nothing', isOursRight: true, isTheirsRight: false });
      expect(rows[1]).toMatchObject({ id: '2', isOursRight: false, isTheirsRight: true });
      expect(notes).toEqual([
        expect.stringContaining('Rows left out: 1, whose answer calls a tool'),
        expect.stringContaining('Rows left out: 1, to which the old model has no saved answer'),
        expect.stringMatching(/^Rows that count as wrong since ours refused them: 1\. Row 5: .*the context is 64/),
        'Saved answers were found by the order of their row.',
      ]);
    });

    test('--check, --pattern and --limit change what is right and what is asked', async () => {
      const strict = await compare('--check', 'eq', '--limit', '2', '--json');
      expect(JSON.parse(strict.output)).toMatchObject({ n: 2, verdicts: { onlyOurs: 1, neither: 1 } });
      const any = await compare('--pattern', '[a-z]', '--limit', '2', '--json');
      expect(JSON.parse(any.output)).toMatchObject({ ours: { right: 2 }, theirs: { right: 1 } });
    });

    test('is written as text, and as a page to show', async () => {
      const { output } = await compare('--limit', '2', '--out', at('page.html'));
      expect(output).toMatch(/^No difference can be shown on these 2 rows/m);
      expect(output).toMatch(/^right answers +50\.0 % \[.*1 of 2 +50\.0 %/m);
      expect(readFileSync(at('page.html'), 'utf8')).toContain('<h1>mine beside the old model</h1>');
      await compare('--limit', '2', '--out', at('page.md'));
      expect(readFileSync(at('page.md'), 'utf8')).toMatch(/^# mine beside the old model$/m);
    });

    test.each([
      [['--out', 'page.pdf'], 'which is no page'],
      [['--check', 'eq', '--pattern', 'a'], 'Give one of them'],
      [['--pattern', '('], 'no regular expression'],
      [['--check', 'exat'], "Did you mean 'exact'?"],
      [['--ours', 'yours'], 'yours'],
      [['--key', 'wrong'], 'key'],
      [['--raw', '--suite', 'string_check'], 'Line 1'],
    ])('%j is refused', async (rest, message) => {
      const { status, output } = await compare(...rest);
      expect([status > 0, output]).toEqual([true, expect.stringContaining(message)]);
    });
  });

  test('chat and compare_answers of `moraine mcp` ask it', async () => {
    const mcp = new Client({ name: 'test', version: '1' });
    const args = ['apps/cli/bin/moraine.mjs', 'mcp', '--url', address, '--key', 'k'];
    await mcp.connect(new StdioClientTransport({ command: process.execPath, args, cwd: repository }));
    const call = async (name: string, input: object) =>
      (await mcp.callTool({ name, arguments: { ...input } })) as { isError?: boolean; content: { text: string }[] };
    try {
      const messages = [{ role: 'user', content: 'Hello?' }];
      const asked = await post('chat/completions', { messages, max_tokens: 8 });
      const { content } = await call('chat', { model: 'mine', messages, max_tokens: 8 });
      expect(JSON.parse(content[0]?.text ?? '')).toMatchObject({
        answer: asked.choices[0]?.message.content,
        usage: { completion_tokens: expect.any(Number) },
      });
      const none = await call('chat', { model: 'yours', messages });
      expect([none.isError, none.content[0]?.text]).toEqual([true, expect.stringContaining('yours')]);
      const files = { rows: path.join(dir, 'rows.jsonl'), theirs: path.join(dir, 'theirs.jsonl') };
      const compared = await call('compare_answers', { ...files, ours: 'mine', limit: 2, max_tokens: 8 });
      expect(JSON.parse(compared.content[0]?.text ?? '')).toMatchObject({
        said: expect.stringContaining('No difference can be shown on these 2 rows'),
        verdicts: { onlyOurs: 1, onlyTheirs: 1 },
        changed: [{ id: '2' }, { id: '1' }],
      });
    } finally {
      await mcp.close();
    }
  });

  test('ends with Ctrl-C', async () => {
    child.kill('SIGINT');
    expect(await once(child, 'exit')).toEqual([0, null]);
  });
});

test.each([
  [['--adapter', 'my-run/adapter'], '--adapter my-run/adapter is no NAME=DIR.'],
  [['--adapter', 'a=nowhere'], 'nowhere'],
  [['--port', '70000'], '--port'],
  [['--rows', '0'], '--rows'],
])('%o is refused', async (words, message) => {
  const base = path.join(repository, 'examples/base');
  const { status, output } = await moraineOnce(['local', 'serve', '--base', base, ...words]);
  expect(status).not.toBe(0);
  expect(output).toContain(message);
});
