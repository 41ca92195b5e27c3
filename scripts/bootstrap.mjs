#!/usr/bin/env node
// The door of the repository: `npm run demo`, `start`, `dev`, `test`, `verify` and `setup` all come through here.
// Node built-ins only: it runs before anything is installed. What is done already is skipped, so a later `npm start` takes about
// a quarter of a second to get to the stack.
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, isBuilt } from './bootstrap/build.mjs';
import { Stop } from './bootstrap/console.mjs';
import { ensurePackages, packagesAreInstalled } from './bootstrap/packages.mjs';
import { hasCachedEngine, requireNode, requireTools } from './bootstrap/prerequisites.mjs';
import { foreground } from './bootstrap/run.mjs';
import { ensureRuntime, ensureValkey } from './bootstrap/runtime.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const usage = `usage: npm run demo | start | dev | test | verify | setup [-- options]

  demo     the stack, and three real fine-tuning runs to watch; -- --exit ends when they are done
  start    the stack: API, dashboard, one worker, embedded Postgres and Redis
  dev      the same, restarted when a source changes
  test     every test, with real services; -- packages/lm runs a part
  verify   format, lint, types, import rules, document references, lock file; no services
  setup    only installs and builds; -- --force fetches and compiles TensorFlow again

  --cpu, --cuda   which TensorFlow to use; otherwise CUDA when an NVIDIA driver is present`;

const cli = [process.execPath, path.join(root, 'apps/cli/bin/moraine.mjs')];
const node = (file) => [process.execPath, path.join(root, file)];
const commands = {
  demo: (args) => foreground([...cli, 'demo', ...args], { cwd: root }),
  start: (args) => foreground([...cli, 'up', ...args], { cwd: root }),
  dev: (args) => foreground([...cli, 'up', '--dev', ...args], { cwd: root }),
  test: (args) => foreground([...node('node_modules/vitest/vitest.mjs'), 'run', ...args], { cwd: root }),
  verify: (args) => foreground([...node('scripts/verify.mjs'), ...args], { cwd: root }),
  setup: () => process.stderr.write('Ready. `npm start` starts the stack, `npm run demo` shows what it does.\n'),
};

/** Takes the options that are meant for this script out of the list. */
function ownOptions(args) {
  const own = new Set(['--cpu', '--cuda', '--auto', '--force']);
  const has = (name) => args.includes(name);
  const variant = has('--cuda') ? 'cuda' : has('--cpu') ? 'cpu' : has('--auto') ? 'auto' : undefined;
  return { variant, force: has('--force'), rest: args.filter((arg) => !own.has(arg)) };
}

async function prepare(command, { variant, force }) {
  const needsPackages = !packagesAreInstalled(root);
  const isWithoutEngine = command === 'verify' || command === 'start' || command === 'dev';
  if (needsPackages || (!isWithoutEngine && !hasCachedEngine())) requireTools(root);
  if (needsPackages) await ensurePackages(root);
  if (command === 'verify') {
    // It builds by itself, with its own timing. Packages that were installed anew have lost the runtime that was linked into them.
    if (needsPackages && hasCachedEngine()) await ensureRuntime(root, { variant, force });
    return;
  }
  if (needsPackages || !isBuilt(root)) await build(root);
  try {
    await ensureRuntime(root, { variant, force });
  } catch (error) {
    // The API and the dashboard work without it, and the worker says on the dashboard what is missing.
    if (!(error instanceof Stop) || (command !== 'start' && command !== 'dev')) throw error;
    process.stderr.write(`\n${error.message}\n\nStarting without a training runtime.\n\n`);
  }
  if (command === 'setup') await ensureValkey(root);
}

async function main() {
  const [command = '', ...args] = process.argv.slice(2);
  if (!Object.hasOwn(commands, command)) {
    process.stderr.write(`${usage}\n`);
    process.exitCode = command === '' || command === 'help' ? 0 : 2;
    return;
  }
  requireNode();
  if (!existsSync(path.join(root, 'package-lock.json')))
    throw new Stop(`${root} has no package-lock.json: restore it from git.`);
  const { variant, force, rest } = ownOptions(args);
  await prepare(command, { variant, force });
  commands[command](rest);
}

main().catch((error) => {
  process.stderr.write(error instanceof Stop ? `\n${error.message}\n` : `${error?.stack ?? error}\n`);
  process.exit(1);
});
