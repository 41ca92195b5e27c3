#!/usr/bin/env node
// `npm run verify`: what a change must pass before tests are worth running. No services, under a minute.
// usage: node scripts/verify.mjs [name …]   only the named checks
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { quiet } from './bootstrap/run.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const node = (...args) => [process.execPath, ...args];
const biome = path.join('node_modules', '@biomejs', 'biome', 'bin', 'biome');
const turbo = path.join('node_modules', 'turbo', 'bin', 'turbo');
const tsc = path.join('node_modules', 'typescript', 'bin', 'tsc');

/** A check that hangs is ended and named, not waited for. */
const LIMIT_MS = 180_000;

const checks = [
  ['format', node(biome, 'format', '--colors=off', '.'), 'npx biome check --write .'],
  ['lint', node(biome, 'lint', '--colors=off', '--error-on-warnings', '.')],
  ['types', node(turbo, 'run', 'build', '--output-logs=errors-only', '--no-color')],
  ['test types', node(tsc, '-p', 'tsconfig.test.json')],
  ['page types', node(tsc, '-p', 'apps/dashboard/tsconfig.test.json', '--noEmit')],
  ['imports', node('scripts/check-imports.mjs')],
  ['clock', node('scripts/check-clock.mjs')],
  ['house', node('scripts/house/house.mjs', '--check'), 'npm run house'],
  ['documents', node('scripts/check-docs.mjs')],
  [
    'coverage',
    node(path.join('node_modules', 'tsx', 'dist', 'cli.mjs'), 'scripts/coverage/coverage.ts', '--check'),
    'npm run coverage',
  ],
  ['openapi', node('apps/api/dist/openapi.js', '--check'), 'npm run openapi -w @moraine/api'],
  ['lock file', node('scripts/check-lock.mjs')],
];

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !checks.some(([known]) => known === name));
if (unknown.length > 0) {
  console.error(`no check is called ${unknown.join(', ')}; there are: ${checks.map(([name]) => name).join(', ')}`);
  process.exit(2);
}

const begun = Date.now();
let failed = 0;
let passed = 0;
for (const [name, command, remedy] of checks) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const started = Date.now();
  const { status, output } = await quiet(command, { cwd: root, limitMs: LIMIT_MS });
  console.log(
    `${status === 0 ? '✓' : '✗'} ${name.padEnd(10)} ${((Date.now() - started) / 1000).toFixed(1).padStart(5)} s`,
  );
  if (status === 0) {
    passed++;
    continue;
  }
  failed++;
  console.log(`\n${output.trimEnd().split('\n').slice(-60).join('\n')}\n`);
  if (remedy !== undefined) console.log(`To repair: ${remedy}\n`);
}
console.log(`\n${passed} passed, ${failed} failed, ${((Date.now() - begun) / 1000).toFixed(1)} s`);
process.exit(failed === 0 ? 0 : 1);
