import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { scoreFile } from '../src/score-file.js';

const options = { baseDir: tmpdir(), adapterDir: null, mode: 'plain' } as const;

test('a path that names no file is refused with what to do, before the base is read', async () => {
  const nothing = join(tmpdir(), 'moraine-no-such-rows.jsonl');
  await expect(scoreFile({ ...options, file: nothing })).rejects.toMatchObject({
    code: 'not_found',
    message: `There is no file ${nothing}.`,
    hint: 'Name a JSONL file, one row a line.',
  });
  await expect(scoreFile({ ...options, file: tmpdir() })).rejects.toThrow(`${tmpdir()} is a folder, not a file.`);
});
