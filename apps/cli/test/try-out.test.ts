import { expect, test } from 'vitest';
import { tryOut } from '../src/commands/runs-download.js';
import { inRepo } from '../src/paths.js';
import { SHIPPED_BASE } from '../src/register-base.js';

// The command under a download is to be pasted into a shell as it is, whatever the folder is called.

test.each([
  ['/models/mine', '/models/mine'],
  ['/my models/mine', "'/my models/mine'"],
  ["/anna's/mine", "'/anna'\\''s/mine'"],
  ['/a$b', "'/a$b'"],
])('a merged model in %s is tried as a base', (out, word) => {
  expect(tryOut(out, 'merged', 'tiny')).toBe(`npx moraine local generate --base ${word} --prompt "…"`);
});

test.each(['native', 'peft'] as const)(
  'an adapter as %s is tried beside its base, which is known where it is the shipped one',
  (format) => {
    expect(tryOut('/my adapter', format, 'tiny')).toBe(
      `npx moraine local generate --base path/to/tiny --adapter '/my adapter' --prompt "…"`,
    );
    expect(tryOut('/adapter', format, SHIPPED_BASE)).toContain(
      `--base ${inRepo('examples', 'base')} --adapter /adapter`,
    );
  },
);

test('GGUF is tried with llama.cpp', () => {
  expect(tryOut('/my gguf', 'gguf', 'tiny')).toBe(`llama-cli -m '/my gguf/model-f16.gguf' -p "…"`);
});
