import { expect, test } from 'vitest';
import { quiet } from '../bootstrap/run.mjs';

const node = (script: string): [string, ...string[]] => [process.execPath, '-e', script];
const cwd = import.meta.dirname;

test('a program that ends in time says its status and its output', async () => {
  const ended = await quiet(node('console.log("out"); console.error("err"); process.exit(3)'), {
    cwd,
    limitMs: 20_000,
  });
  expect(ended.status).toBe(3);
  expect(ended.output).toContain('out');
  expect(ended.output).toContain('err');
});

test('a program that hangs is ended at its limit, also when what it started holds its output open', async () => {
  const child = 'setTimeout(() => {}, 4000)';
  const script = `require("child_process").spawn(process.execPath, ["-e", ${JSON.stringify(child)}], { stdio: "inherit" }); setInterval(() => {}, 1000)`;
  const begun = performance.now();
  const { status, output } = await quiet(node(script), { cwd, limitMs: 500 });
  expect(status).not.toBe(0);
  expect(output).toContain('It did not end within 0.5 s.');
  expect(performance.now() - begun).toBeLessThan(3500);
});
