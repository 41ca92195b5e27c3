import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { expect, test } from 'vitest';
import { moraineOnce } from './stack.js';

const repository = path.join(import.meta.dirname, '../../..');

test('answers at the address that it prints until Ctrl-C, to who has the key', async () => {
  const words = [
    'local',
    'serve',
    '--base',
    'examples/base',
    '--name',
    'mine',
    '--port',
    '0',
    '--key',
    'k',
    '--context',
    '64',
  ];
  const child = spawn(process.execPath, ['apps/cli/bin/moraine.mjs', ...words], { cwd: repository });
  try {
    const [first] = (await once(createInterface(child.stdout), 'line')) as [string];
    const address = /^One model answers at (http:\S+): mine\.$/.exec(first)?.[1];
    const models = await fetch(`${address}/models`, { headers: { authorization: 'Bearer k' } });
    expect(await models.json()).toMatchObject({ data: [{ id: 'mine' }] });
    expect((await fetch(`${address}/models`)).status).toBe(401);
    const body = { model: 'mine', prompt: 'One', max_tokens: 3, temperature: 0 };
    const answer = await fetch(`${address}/completions`, {
      method: 'POST',
      headers: { authorization: 'Bearer k', 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    expect(await answer.json()).toMatchObject({ object: 'text_completion', usage: { completion_tokens: 3 } });
    child.kill('SIGINT');
    expect(await once(child, 'exit')).toEqual([0, null]);
  } finally {
    child.kill('SIGKILL');
  }
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
