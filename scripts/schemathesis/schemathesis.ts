/**
 * `npm run schemathesis -- [--seed N] [--examples N]`: starts a stack of its own without a worker and lets Schemathesis send requests made from
 * its OpenAPI document, seeded and bounded. What it looks for is an answer of 500 or more. By hand: its packages are not locked by hash.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

const root = resolve(import.meta.dirname, '../..');
const venv = join(root, '.venv/schemathesis');
const cli = join(root, 'apps/cli/bin/moraine.mjs');
const work = mkdtempSync(join(tmpdir(), 'moraine-schemathesis-'));
const env = { ...process.env, MORAINE_DATA: join(work, 'data') };
const SECONDS_TO_START = 120;

const { values } = parseArgs({ options: { seed: { type: 'string' }, examples: { type: 'string' } } });

function program(): string {
  const path = join(venv, 'bin/schemathesis');
  if (existsSync(path)) return path;
  execFileSync('python3', ['-m', 'venv', venv], { stdio: 'inherit' });
  const requirements = join(import.meta.dirname, 'requirements.txt');
  execFileSync(join(venv, 'bin/python'), ['-m', 'pip', 'install', '-q', '-r', requirements], { stdio: 'inherit' });
  return path;
}

/** Address and key of the stack, once it answers. */
async function address(): Promise<{ origin: string; key: string }> {
  for (let second = 0; second < SECONDS_TO_START; second++) {
    const { status, stdout } = spawnSync('node', [cli, 'env'], { env, encoding: 'utf8' });
    const value = (name: string) => new RegExp(`${name}=['"]?([^'"\\s]+)`).exec(stdout)?.[1] ?? '';
    const base = status === 0 ? value('OPENAI_BASE_URL') : '';
    if (base !== '' && (await fetch(new URL('/readyz', base)).catch(() => null))?.ok)
      return { origin: new URL(base).origin, key: value('OPENAI_API_KEY') };
    await new Promise((done) => setTimeout(done, 1_000));
  }
  throw new Error(`The stack did not start within ${SECONDS_TO_START} s.`);
}

const schemathesis = program();
const stack = spawn('node', [cli, 'up', '--workers', '0'], { env, stdio: 'ignore' });
try {
  const { origin, key } = await address();
  const bounded = ['--seed', values.seed ?? '1', '--max-examples', values.examples ?? '20', '--request-timeout', '20'];
  // Streams never end; the rest of what it can check is checked by tests of ours.
  const options = ['--checks', 'not_a_server_error', '--exclude-path-regex', '/stream$', '--no-color', ...bounded];
  const given = ['run', `${origin}/openapi.json`, '-H', `Authorization: Bearer ${key}`, ...options];
  const { status } = spawnSync(schemathesis, given, { stdio: 'inherit', cwd: work });
  process.exitCode = status ?? 1;
} finally {
  stack.kill('SIGTERM');
  await new Promise((done) => stack.once('exit', done));
  rmSync(work, { recursive: true, force: true });
}
