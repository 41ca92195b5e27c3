import { PassThrough } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { NewLogLine } from '@moraine/services';
import { describe, expect, it } from 'vitest';
import { captureLines } from '../src/log-lines.js';

/** What is captured of the chunks that a process writes to standard output, and to standard error. */
async function captured(out: readonly (string | Buffer)[], err: readonly string[] = []): Promise<NewLogLine[]> {
  const lines: NewLogLine[] = [];
  const streams = [
    { stream: new PassThrough(), level: 'info', chunks: out },
    { stream: new PassThrough(), level: 'warn', chunks: err },
  ];
  captureLines(streams, (line) => lines.push(line));
  for (const { stream, chunks } of streams) {
    for (const chunk of chunks) {
      stream.write(chunk);
      await new Promise(setImmediate); // a chunk of its own, as a pipe has them
    }
    stream.end();
    await finished(stream);
  }
  return lines;
}
const textsOf = (lines: readonly NewLogLine[]): string[] => lines.map(({ message }) => message);

describe('the lines of a process', () => {
  it('are put together from the chunks of the pipe', async () => {
    expect(textsOf(await captured(['one\ntw', 'o\nth', 'ree\n']))).toEqual(['one', 'two', 'three']);
  });

  it('keep a letter whose bytes come in two chunks', async () => {
    const bytes = Buffer.from('größer → λ\n');
    for (let cut = 1; cut < bytes.length; cut++) {
      const lines = await captured([bytes.subarray(0, cut), bytes.subarray(cut)]);
      expect(textsOf(lines)).toEqual(['größer → λ']);
    }
  });

  it('are complete when the process ends in the middle of one', async () => {
    expect(textsOf(await captured(['last words without an end']))).toEqual(['last words without an end']);
  });

  it('that are empty are left out and not counted', async () => {
    const lines = await captured(['one\n\n  \ntwo\n']);
    expect(lines.map(({ line, message }) => [line, message])).toEqual([
      [1, 'one'],
      [2, 'two'],
    ]);
  });

  it('of both streams share one numbering and have the level of their stream', async () => {
    const lines = await captured(['out\n'], ['err\n']);
    expect(lines).toMatchObject([
      { line: 1, level: 'info', message: 'out' },
      { line: 2, level: 'warn', message: 'err' },
    ]);
  });

  it('of pino keep their level, time and message', async () => {
    const entry = (level: number, msg: string) => `${JSON.stringify({ level, time: 123, msg })}\n`;
    const lines = await captured([entry(20, 'a'), entry(50, 'b'), entry(99, 'c')]);
    expect(lines).toEqual([
      { line: 1, at: 123, level: 'debug', message: 'a' },
      { line: 2, at: 123, level: 'error', message: 'b' },
      { line: 3, at: 123, level: 'info', message: 'c' },
    ]);
  });

  it('that only look like JSON of pino stay as they are', async () => {
    const texts = ['{"loss": 1}', '{broken', '[1, 2]', '{"msg": "no level"}'];
    expect(textsOf(await captured([`${texts.join('\n')}\n`]))).toEqual(texts);
  });

  it('that are too long are cut, also when they never end', async () => {
    const [line] = await captured([`${'x'.repeat(10_000)}\n`]);
    expect(line?.message).toHaveLength(8_192);
    const endless = await captured(Array.from({ length: 40 }, () => 'y'.repeat(1_000)));
    expect(endless.length).toBeGreaterThan(1);
    for (const { message } of endless) expect(message.length).toBeLessThanOrEqual(8_192);
  });

  it('without end are kept up to a limit, and the last one kept says so', async () => {
    const lines = await captured([`${'again\n'.repeat(20_500)}`]);
    expect(lines).toHaveLength(20_001);
    expect(lines[19_999]?.message).toBe('again');
    expect(lines.at(-1)).toMatchObject({ line: 20_001, level: 'warn', message: expect.stringContaining('20000') });
  });
});
