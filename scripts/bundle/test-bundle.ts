/**
 * `npm run test:bundle`: the long form of the bundle's tests. Makes a bundle, installs it with an empty HOME, without Node, npm and pip on
 * PATH and without a network (`unshare -rn`; where that is refused it says so), then trains, scores and generates there. Some minutes, 2.5 GB of disk.
 * `--cuda` takes the bundle for GPUs, `--bundle DIR` one that is made already, `--test-gpu` runs that there too. `--whole` takes the one with
 * servers and trains through its stack as well: as whoever runs the test, and without a network.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    cuda: { type: 'boolean', default: false },
    whole: { type: 'boolean', default: false },
    bundle: { type: 'string' },
    'test-gpu': { type: 'boolean', default: false },
  },
});
const root = resolve(import.meta.dirname, '../..');
const work = mkdtempSync(join(tmpdir(), 'moraine-test-bundle-'));
const target = join(work, 'moraine');
const hasNamespaces = spawnSync('unshare', ['-rn', 'true']).status === 0;
/** Everything that install.sh and the launchers start; no node, npm or pip among it. */
const TOOLS = 'sh cat tar gzip sha256sum df mkdir mv rm uname getconf dirname readlink sed ls grep ldconfig'.split(' ');
/** What the script of the stack starts besides; `unshare`, because Postgres runs as nobody where root starts it. */
const STACK_TOOLS = ['sleep', 'tee', 'unshare', 'ip'];

/** Runs a command as on a bare machine without a network and ends the test when it fails. */
const bare = (...command: string[]): void =>
  runHere(command, hasNamespaces ? ['/usr/bin/unshare', '-rn', ...command] : command);

/** Runs a command as on a bare machine and ends the test when it fails. */
function runHere(command: readonly string[], [program = '', ...args]: readonly string[] = command): void {
  const begun = Date.now();
  const env = { HOME: join(work, 'home'), PATH: join(work, 'tools') };
  const { status } = spawnSync(program, args, { cwd: work, env, stdio: 'inherit' });
  const words = command.join(' ').replaceAll(work, '$WORK');
  if (status !== 0) throw new Error(`${words} ended with status ${status}`);
  process.stdout.write(`== ${((Date.now() - begun) / 1000).toFixed(1)} s: ${words}\n\n`);
}

function makeBundle(): string {
  const out = join(work, 'bundle');
  const words = ['bundle', values.cuda ? '--cuda' : '--cpu', ...(values.whole ? [] : ['--slim']), '--out', out];
  const { status } = spawnSync(process.execPath, [join(root, 'apps/cli/bin/moraine.mjs'), ...words], {
    stdio: 'inherit',
  });
  if (status !== 0) throw new Error(`moraine ${words.join(' ')} ended with status ${status}`);
  return out;
}

function bareMachine(): void {
  mkdirSync(join(work, 'home'));
  mkdirSync(join(work, 'tools'));
  for (const name of [...TOOLS, ...(values.whole ? STACK_TOOLS : [])]) {
    const found = ['/usr/bin', '/bin', '/usr/sbin', '/sbin']
      .map((dir) => join(dir, name))
      .find((file) => existsSync(file));
    if (found === undefined) throw new Error(`${name} is not on this machine`);
    symlinkSync(found, join(work, 'tools', name));
  }
}

/** The stack of the bundle, as whoever runs this and in a namespace that has only its own loopback. */
function throughTheStack(): void {
  const script = join(import.meta.dirname, 'through-the-stack.sh');
  const words = (name: string): string[] => ['/bin/sh', script, target, join(work, name)];
  runHere(words('stack'));
  if (!hasNamespaces) return;
  const inside = words('stack-alone');
  runHere(inside, ['/usr/bin/unshare', '-rn', '/bin/sh', '-c', 'ip link set lo up && exec "$@"', 'sh', ...inside]);
}

try {
  if (!hasNamespaces) process.stdout.write('unshare -rn is refused here: the network is not taken away.\n');
  const bundle = values.bundle === undefined ? makeBundle() : resolve(values.bundle);
  const bytes = readdirSync(bundle).reduce((sum, name) => sum + statSync(join(bundle, name)).size, 0);
  process.stdout.write(`== ${(bytes / 1e6).toFixed(1)} MB in ${bundle}\n`);
  bareMachine();
  bare('/bin/sh', join(bundle, 'install.sh'), target);
  const moraine = join(target, 'bin/moraine');
  const base = ['--base', join(target, 'examples/base')];
  const data = ['--data', join(target, 'examples/tasks/record-train.jsonl')];
  bare(moraine, 'local', 'train', ...base, ...data, '--steps', '20', '--batch-size', '16', '--out', join(work, 'run'));
  const adapter = ['--adapter', join(work, 'run', 'adapter')];
  bare(moraine, 'local', 'eval', ...base, ...adapter, '--data', join(target, 'examples/tasks/record-validation.jsonl'));
  bare(moraine, 'local', 'generate', ...base, ...adapter, '--prompt', 'Nevsa gave 3 belts to Gankor.\nRecord?');
  if (values.whole) throughTheStack();
  if (values['test-gpu'])
    bare(join(target, 'bin/test-gpu'), '--allow-cpu', '--shapes', '260k', '--out', join(work, 'gpu'));
  const losses = readFileSync(join(work, 'run', 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { train_loss: number }).train_loss);
  const [first = Number.NaN, last = Number.NaN] = [losses[0], losses.at(-1)];
  if (losses.length !== 20 || !(last < first)) throw new Error(`20 steps went from ${first} to ${last}`);
  process.stdout.write(`The bundle works: 20 steps from ${first.toFixed(3)} to ${last.toFixed(3)}.\n`);
} finally {
  rmSync(work, { recursive: true, force: true });
}
