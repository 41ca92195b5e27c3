import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { claimRun, failAttempt, recordLogs, startAttempt } from '@moraine/services';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type prepare, registerTestWorker, submit } from '../../api/test/fixtures.js';
import { TOOLS } from '../src/mcp/server.js';
import type { CliApi } from './api.js';

// The protocol's own client over the standard input and output of `moraine mcp`, on a real API: a run that has ended, one that failed, one that waits.
// chat and compare_answers are tried in local-serve.test.ts, where a model answers.
const repository = path.join(import.meta.dirname, '../../..');

interface Stack extends CliApi {
  made: Awaited<ReturnType<typeof prepare>>;
  /** A run that has ended. */
  ended: string;
}

interface Answer {
  isError?: boolean;
  content: { text: string }[];
}
const POOL = 'mcp';

/** The tests of `moraine mcp` on the stack of another file: they take a quarter of the time that a stack of their own does. */
export function mcpTests(stack: () => Stack): void {
  let { api, client, address, at, made, ended } = {} as Stack;
  let mcp: Client;
  let failed: string;
  let waiting: string;

  const call = async (name: string, input: object = {}): Promise<{ isError: boolean; text: string }> => {
    const { isError = false, content } = (await mcp.callTool({ name, arguments: { ...input } })) as unknown as Answer;
    return { isError, text: content[0]?.text ?? '' };
  };
  const read = async (name: string, input: object = {}) => {
    const { isError, text } = await call(name, input);
    if (isError) throw new Error(text);
    return JSON.parse(text);
  };

  beforeAll(async () => {
    ({ api, client, address, at, made, ended } = stack());
    ({ id: failed } = await submit(api, made, { suffix: 'failed', pool: POOL }));
    const workerId = await registerTestWorker(api.services, { pool: POOL });
    const claim = await claimRun(api.services, { workerId, pool: POOL });
    if (claim?.token.taskId !== failed) throw new Error('another run was claimed');
    await startAttempt(api.services, claim.token, { startStep: 0 });
    await recordLogs(api.services, claim.token, [
      { line: 1, at: Date.now(), level: 'info', message: 'step 3' },
      { line: 2, at: Date.now(), level: 'warn', message: 'the loss jumps' },
    ]);
    const failure = {
      cause: 'nan',
      code: 'nan_loss',
      message: 'The loss is NaN at step 4. Take a lower rate.',
    } as const;
    await failAttempt(api.services, claim.token, failure);
    ({ id: waiting } = await submit(api, made, { suffix: 'waiting', pool: POOL }));
    mcp = new Client({ name: 'test', version: '1' });
    await mcp.connect(
      new StdioClientTransport({
        command: process.execPath,
        args: [path.join(repository, 'apps/cli/bin/moraine.mjs'), 'mcp'],
        env: {
          PATH: process.env.PATH ?? '',
          OPENAI_BASE_URL: `${address.origin}/v1`,
          OPENAI_API_KEY: address.apiKey,
          MORAINE_DATA: at('no stack'),
        },
      }),
    );
  });
  afterAll(() => mcp.close());

  describe('every tool', () => {
    test('is offered with a title, a sentence, a schema that refuses what it does not know, and what it does to the world', async () => {
      const { tools } = await mcp.listTools();
      expect(tools.map(({ name }) => name).sort()).toEqual(TOOLS.map(({ name }) => name).sort());
      for (const { name, title, description, inputSchema, annotations } of tools) {
        expect(
          [title?.length, description?.length].every((length) => (length ?? 0) > 5),
          name,
        ).toBe(true);
        expect(inputSchema, name).toMatchObject({ type: 'object', additionalProperties: false });
        const destroys = ['cancel_run', 'delete_run'].includes(name);
        expect(annotations, name).toMatchObject({
          destructiveHint: destroys,
          readOnlyHint: !destroys && name !== 'submit_run',
        });
        expect('confirm' in (inputSchema.properties ?? {}), name).toBe(annotations?.readOnlyHint === false);
      }
    });

    test.each(['docs/mcp.md', 'apps/cli/skill/SKILL.md'])('is named in %s, which names no other', (file) => {
      const text = readFileSync(path.join(repository, file), 'utf8');
      const named = new Set([...text.matchAll(/`([a-z]+(?:_[a-z]+)*)`/g)].map(([, word]) => word ?? ''));
      const inputs = TOOLS.flatMap(({ input }) => Object.keys(input.shape));
      const answers = ['has_ended', 'verdict', 'fine_tuned_model'];
      const names = TOOLS.map(({ name }) => name);
      expect(names.filter((name) => !named.has(name))).toEqual([]);
      expect([...named].filter((word) => ![...names, ...inputs, ...answers].includes(word))).toEqual([]);
    });
  });

  describe('what changes nothing', () => {
    test('list_runs searches, show_run shows, list_models has what was trained', async () => {
      const { runs, has_more: more } = await read('list_runs', { search: 'ended', status: 'succeeded' });
      expect([runs.map(({ id }: { id: string }) => id), more]).toEqual([[ended], false]);
      const run = await read('show_run', { run: ended });
      expect(run).toMatchObject({ id: ended, status: 'succeeded', suffix: 'ended' });
      const models = await read('list_models');
      expect(models.map(({ id }: { id: string }) => id)).toContain(run.fine_tuned_model);
    });

    test('watch_run tells of one that has ended at once, and of one that waits after its time', async () => {
      const told = await read('watch_run', { run: ended });
      expect(told).toMatchObject({ status: 'succeeded', has_ended: true });
      expect(told.events.at(-1).message).toMatch(/succeeded/i);
      const still = await read('watch_run', { run: waiting, seconds: 0.05 });
      expect(still).toMatchObject({ has_ended: false, progress: { step: 0 } });
    });

    test('explain_failure has the error, the cause of the attempt and the warnings of the log, and of a run that waits why', async () => {
      const { text } = await call('explain_failure', { run: failed });
      expect(text).toMatch(new RegExp(`^${failed} is failed at step 0 of \\d+, .* on tiny\\.$`, 'm'));
      expect(text).toMatch(/^Error nan_loss: The loss is NaN at step 4\. Take a lower rate\.$/m);
      expect(text).toMatch(/^Attempt 1: failed, nan\.$/m);
      expect(text).toMatch(/^log of attempt 1, warn: the loss jumps$/m);
      expect(text).not.toContain('step 3');
      expect((await call('explain_failure', { run: waiting })).text).toMatch(/^Why: \w/m);
    });
  });

  describe('what changes something', () => {
    const rows = (word: string): string =>
      Array.from({ length: 24 }, (_, i) => `{"prompt":"${word} ${i}","completion":"b"}\n`).join('');
    const count = async (): Promise<number> =>
      (await client.call('searchRuns', { query: { count: 'true' } })).total_count ?? -1;

    test('submit_run is a dry run first, and queues exactly what was confirmed', async () => {
      const file = at('rows.jsonl');
      writeFileSync(file, rows('a'));
      const input = { model: 'tiny', training_file: file, suffix: 'asked', request: { max_steps: 3, pool: POOL } };
      const before = await count();
      const dry = await read('submit_run', input);
      expect(dry).toMatchObject({ would: 'queue a run of 3 steps on tiny', config: { steps: 3 } });
      expect([dry.confirm, await count()]).toEqual([expect.stringMatching(/^submit-[0-9a-f]{8}$/), before]);
      // Another number of steps, then other rows: neither is what was shown.
      const changed = { ...input, request: { max_steps: 4, pool: POOL }, confirm: dry.confirm };
      expect(await call('submit_run', changed)).toMatchObject({
        isError: true,
        text: expect.stringContaining('does not confirm'),
      });
      writeFileSync(file, rows('b'));
      expect(await call('submit_run', { ...input, confirm: dry.confirm })).toMatchObject({ isError: true });
      expect(await count()).toBe(before);
      writeFileSync(file, rows('a'));
      const { id, steps } = await read('submit_run', { ...input, confirm: dry.confirm });
      expect([steps, await count()]).toEqual([3, before + 1]);
      expect(await client.call('getRun', { params: { id } })).toMatchObject({ suffix: 'asked', status: 'queued' });
    });

    test('cancel_run and delete_run say what they would do, and do it once that is confirmed', async () => {
      const asked = await read('cancel_run', { run: waiting });
      expect(asked).toMatchObject({ would: 'cancel this run', run: { id: waiting, status: 'queued' } });
      expect(await call('cancel_run', { run: waiting, confirm: 'yes' })).toMatchObject({ isError: true });
      const other = await call('delete_run', { run: waiting, confirm: asked.confirm });
      expect([other.isError, (await read('show_run', { run: waiting })).status]).toEqual([true, 'queued']);
      expect(await read('cancel_run', { run: waiting, confirm: asked.confirm })).toMatchObject({ status: 'cancelled' });
      // The run is no more what was shown.
      expect(await call('cancel_run', { run: waiting, confirm: asked.confirm })).toMatchObject({ isError: true });
      const { confirm } = await read('delete_run', { run: waiting });
      expect(await read('delete_run', { run: waiting, confirm })).toMatchObject({ deleted: true });
      expect((await read('list_runs', { search: waiting })).runs).toEqual([]);
    });
  });

  test.each([
    ['show_run', { run: 'ftjob-none' }, 'ftjob-none'],
    ['show_run', { rum: 'x' }, 'rum'],
    ['watch_run', { run: 'x', seconds: 600 }, 'seconds'],
    ['submit_run', { model: 'nowhere', training_file: 'file-none' }, 'nowhere'],
    ['submit_run', { model: 'tiny', training_file: '/no/such/rows.jsonl' }, '/no/such/rows.jsonl'],
    ['no_such_tool', {}, 'no_such_tool'],
  ])('%s with %j answers what is wrong', async (name, input, message) => {
    expect(await call(name, input)).toMatchObject({ isError: true, text: expect.stringContaining(message) });
  });
}
