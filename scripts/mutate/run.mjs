// Applies mutations in a scratch copy of the repository and looks whether the test that is named for each fails.
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** A mutation that cannot be applied. */
export class Mismatch extends Error {}

/** The text with a mutation in it. @throws Mismatch when what it replaces is not there exactly once. */
export function mutated(text, { name, file, find, replace }) {
  const count = text.split(find).length - 1;
  if (count !== 1) throw new Mismatch(`${name}: its text is ${count} times in ${file}, must be there once`);
  if (find === replace) throw new Mismatch(`${name} changes nothing`);
  return text.replace(find, () => replace);
}

/**
 * A copy of the tracked and the new files of `root`, with its builds and generated code; `node_modules` are links. Packages import each
 * other's build from there, tests import the sources beside them, so a mutation is seen by the tests of its own package.
 */
export function makeScratch(root) {
  const scratch = mkdtempSync(path.join(tmpdir(), 'moraine-mutate-'));
  const list = spawnSync('git', ['ls-files', '-co', '--exclude-standard'], { cwd: root, encoding: 'utf8' }).stdout;
  for (const name of list.split('\n').filter((name) => name !== '' && existsSync(path.join(root, name)))) {
    mkdirSync(path.dirname(path.join(scratch, name)), { recursive: true });
    cpSync(path.join(root, name), path.join(scratch, name));
  }
  // The parts that git does not have: builds, the generated client of the database, installed packages.
  for (const group of ['packages', 'apps']) {
    for (const name of existsSync(path.join(root, group)) ? readdirSync(path.join(root, group)) : []) {
      const at = path.join(group, name);
      for (const part of ['dist', ...generatedIn(path.join(root, at, 'src'))])
        if (existsSync(path.join(root, at, part)))
          cpSync(path.join(root, at, part), path.join(scratch, at, part), { recursive: true });
      linkModules(root, scratch, at);
    }
  }
  linkModules(root, scratch, '.');
  return { path: scratch, remove: () => rmSync(scratch, { recursive: true, force: true }) };
}

/** Folders of generated code below `source`, beginning with `src/`. */
const generatedIn = (source) =>
  existsSync(source)
    ? readdirSync(source, { recursive: true, encoding: 'utf8' })
        .filter((name) => path.basename(name) === 'generated')
        .map((name) => path.join('src', name))
    : [];

function linkModules(root, scratch, at) {
  const modules = path.join(root, at, 'node_modules');
  if (existsSync(modules)) symlinkSync(modules, path.join(scratch, at, 'node_modules'));
}

/** Vitest's full name of `describe > test`. */
const fullName = (name) => name.replaceAll(' > ', ' ');

/** Runs the tests `names` (`describe > test`) in `files`: map of name to `passed` or `failed`; one that did not run is not in it. */
export function runTests(folder, files, names) {
  const report = path.join(folder, `report-${process.pid}.json`);
  rmSync(report, { force: true });
  const pattern = `^(${names.map((name) => fullName(name).replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|')})$`;
  const vitest = path.join(folder, 'node_modules/vitest/vitest.mjs');
  const args = [vitest, 'run', ...files, '-t', pattern, '--reporter=json', `--outputFile=${report}`];
  const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8', timeout: 300_000 });
  if (!existsSync(report)) throw new Error(`vitest wrote no report:\n${stdout}\n${stderr}`);
  const results = JSON.parse(readFileSync(report, 'utf8')).testResults.flatMap(
    ({ assertionResults }) => assertionResults,
  );
  const statuses = new Map(results.map(({ fullName: name, status }) => [name, status]));
  return new Map(
    names.flatMap((name) => {
      const status = statuses.get(fullName(name));
      return status === 'passed' || status === 'failed' ? [[name, status]] : [];
    }),
  );
}

/**
 * What became of one mutation: {outcome: 'killed' | 'survived' | 'mismatch', note, seconds}. The file is as before afterwards. `run` is
 * `runTests`, a parameter for the tests.
 */
export function tryMutation(folder, mutation, run = runTests) {
  const started = Date.now();
  const file = path.join(folder, mutation.file);
  const end = (outcome, note = '') => ({ ...mutation, outcome, note, seconds: (Date.now() - started) / 1000 });
  const before = existsSync(file) ? readFileSync(file, 'utf8') : '';
  try {
    writeFileSync(file, mutated(before, mutation));
  } catch (error) {
    if (error instanceof Mismatch) return end('mismatch', error.message);
    throw error;
  }
  try {
    const status = run(folder, [mutation.testFile], [mutation.test]).get(mutation.test);
    if (status === 'failed') return end('killed');
    return end(
      'survived',
      status === undefined ? `${mutation.name}: its test did not run` : `${mutation.name}: its test passes`,
    );
  } finally {
    writeFileSync(file, before);
  }
}
