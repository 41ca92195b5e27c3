import { AppError } from '@moraine/contract';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { readArguments } from '../src/args.js';
import { compareCommand } from '../src/commands/compare.js';
import { mcpCommand } from '../src/commands/mcp.js';
import { CHECK_NAMES, placeOf } from '../src/compare/compare-by.js';
import { createMcpServer, TOOLS } from '../src/mcp/server.js';
import { argumentsWith, confirmationOf, defineTool, isConfirmed } from '../src/mcp/tool.js';

// What the tools are made of, without a stack; mcp-tests.ts calls them over the protocol.
const context = { args: readArguments(mcpCommand, ['--url', 'http://here:7313', '--key', 'k']) };

describe('a confirmation', () => {
  const request = { model: 'tiny', request: { max_steps: 3 } };

  test('is the same for the same request, and another for any other', () => {
    const same = confirmationOf('submit', structuredClone(request));
    expect(confirmationOf('submit', request)).toBe(same);
    expect(same).toMatch(/^submit-[0-9a-f]{8}$/);
    expect(confirmationOf('delete', request)).toMatch(/^delete-/);
    for (const other of [
      { ...request, request: { max_steps: 4 } },
      { ...request, suffix: 'x' },
      { model: 'tiny' },
      [request],
      null,
    ])
      expect(confirmationOf('submit', other)).not.toBe(same);
  });

  test('that is absent does nothing, one that fits does it, any other is refused', () => {
    const wanted = confirmationOf('cancel', 'ftjob-1');
    expect([isConfirmed(undefined, wanted), isConfirmed(wanted, wanted)]).toEqual([false, true]);
    for (const given of ['', 'yes', wanted.toUpperCase(), confirmationOf('cancel', 'ftjob-2')])
      expect(() => isConfirmed(given, wanted)).toThrow(
        expect.objectContaining({ code: 'invalid_value', param: 'confirm', message: expect.stringContaining(given) }),
      );
  });
});

describe('the words of a tool', () => {
  test('are those of a command: the options of the server, then its own, without what was not given', () => {
    const { options, positionals } = argumentsWith(context, { limit: '2', pattern: undefined, json: false });
    expect(options).toEqual({ url: 'http://here:7313', key: 'k', json: true, limit: '2' });
    expect(positionals).toEqual([]);
  });

  test.each([
    ['http://here:7313', 'http://here:7313/v1'],
    ['http://here:7313/', 'http://here:7313/v1'],
    ['http://here:7313/v1', 'http://here:7313/v1'],
    ['https://there/moraine/v1/', 'https://there/moraine/v1'],
  ])('name a server as %s, which answers at %s', (url, baseUrl) => {
    expect(placeOf(readArguments(compareCommand, ['--url', url]))).toEqual({ baseUrl, apiKey: 'none' });
    expect(placeOf(readArguments(compareCommand, ['--url', url, '--key', 'k'])).apiKey).toBe('k');
  });

  test('of compare_answers are the checks of `moraine compare`', () => {
    const check = TOOLS.find(({ name }) => name === 'compare_answers')?.input.shape.check;
    for (const name of CHECK_NAMES) expect(z.safeParse(check as z.ZodType, name).success, name).toBe(true);
    expect(z.safeParse(check as z.ZodType, 'exat').success).toBe(false);
  });
});

describe('a server', () => {
  test('has each tool once, under a name of small words', () => {
    const names = TOOLS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect(name).toMatch(/^[a-z]+(_[a-z]+)*$/);
    expect(() => createMcpServer(context)).not.toThrow();
  });

  test('gives a tool its input as its schema reads it', async () => {
    const seen: unknown[] = [];
    const tool = defineTool({
      name: 'count',
      title: 'Count',
      description: 'Counts.',
      effect: 'read',
      input: z.strictObject({ limit: z.int().default(20) }),
      run: async (_context, { limit }) => seen.push(limit),
    });
    await tool.run(context, tool.input.parse({}) as never, new AbortController().signal);
    expect(seen).toEqual([20]);
    expect(() => tool.input.parse({ limt: 3 })).toThrow('limt');
  });

  test('says in its description how what changes something is confirmed', () => {
    const changing = TOOLS.filter(({ effect }) => effect !== 'read');
    expect(changing.map(({ name }) => name).sort()).toEqual(['cancel_run', 'delete_run', 'submit_run']);
    for (const { description, input } of changing) {
      expect(description).toContain('confirm');
      expect(Object.keys(input.shape)).toContain('confirm');
    }
  });

  test('without a stack and without an address says how to get one', async () => {
    const list = TOOLS.find(({ name }) => name === 'list_runs');
    const none = { args: readArguments(mcpCommand, ['--data', '/no/such/stack']) };
    const run = async () => list?.run(none, list.input.parse({}) as never, new AbortController().signal);
    await expect(run()).rejects.toThrow(AppError);
    await expect(run()).rejects.toMatchObject({ code: 'unavailable', hint: expect.stringContaining('npm start') });
  });
});
