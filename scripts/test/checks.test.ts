import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { linkSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { packagesAreInstalled } from '../bootstrap/packages.mjs';
import { checkClock } from '../check-clock.mjs';
import { checkDocs } from '../check-docs.mjs';
import { checkImports } from '../check-imports.mjs';
import { importsOf } from '../house/graph.mjs';

const root = mkdtempSync(path.join(tmpdir(), 'moraine checks '));
afterAll(() => rmSync(root, { recursive: true, force: true }));
beforeEach(() => {
  rmSync(root, { recursive: true, force: true });
  mkdirSync(root);
});

function write(name: string, text: string): void {
  mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
  writeFileSync(path.join(root, name), text);
}
const workspace = (folder: string, name: string, dependencies: Record<string, string> = {}): void =>
  write(`${folder}/package.json`, JSON.stringify({ name, dependencies }));

test('time that passes may not be measured by a clock that may be set back; times that are stored may be', () => {
  workspace('packages/a', '@moraine/a');
  const measured = [
    'const begun = Date.now();',
    'const until = Date.now() + 5;',
    'if (until > Date.now()) return;',
    'while (Date.now() < until) await sleep(10);',
    'const left = until - Date.now();',
  ];
  const stored = [
    'emit({ at: Date.now(), step });',
    'const expiresAt = new Date(Date.now() + LIFE_MS);',
    'const since = Math.floor(Date.now() / 1_000);',
    'const isOld = Date.now() - row.createdAt.getTime() > AGE_MS;',
    'const ms = Date.parse(after) - Date.now();',
  ];
  write('packages/a/src/a.ts', [...measured, ...stored].join('\n'));
  write('packages/a/test/a.test.ts', measured.join('\n'));
  mkdirSync(path.join(root, 'apps'));
  expect(checkClock(root).map((sentence) => Number(sentence.split(':')[1]?.split(' ')[0]))).toEqual([1, 2, 3, 4, 5]);
});

describe('import rules', () => {
  test('every form of import is seen, and what is not one is not', () => {
    const text = `
      import a, {
        b,
      } from './many-lines.js';
      import type { T } from './types.js';
      export * from './all.js';
      import './effect.js';
      const x = await import('./later.js');
      // import not from './comment.js' at all
      const s = "from './text.js'";`;
    expect(importsOf(text).map(({ name, isLazy }) => `${name} ${isLazy}`)).toEqual([
      './many-lines.js false',
      './types.js true',
      './all.js false',
      './effect.js false',
      './later.js true',
    ]);
  });

  test('the API may not know the engine, not even its types', () => {
    workspace('apps/api', '@moraine/api', { '@moraine/engine': '1', '@moraine/contract': '1' });
    write(
      'apps/api/src/app.ts',
      "import type { Tf } from '@moraine/engine';\nimport { x } from '@moraine/contract';\n",
    );
    expect(checkImports(root)).toEqual([
      'apps/api/src/app.ts imports @moraine/engine; apps/api may import @moraine/contract, @moraine/services, lazily:@moraine/recipes',
    ]);
  });

  test('the command line may load the installer later, not at its start', () => {
    workspace('apps/cli', 'moraine', { '@moraine/engine': '1' });
    write('apps/cli/src/a.ts', "export const f = () => import('@moraine/engine/install');\n");
    expect(checkImports(root)).toEqual([]);
    write('apps/cli/src/a.ts', "import { doctor } from '@moraine/engine/install';\n");
    expect(checkImports(root)).toHaveLength(1);
  });

  test('the attempt’s process has no connections and the supervisor no TensorFlow, through whatever file', () => {
    workspace('apps/worker', '@moraine/worker', { '@moraine/recipes': '1', '@moraine/services': '1' });
    write(
      'apps/worker/src/attempt.ts',
      "import { a } from './shared.js';\nimport { runSft } from '@moraine/recipes';\n",
    );
    write('apps/worker/src/shared.ts', "import type { Services } from '@moraine/services';\n");
    write('apps/worker/src/supervisor.ts', "import { b } from './learn.js';\n");
    write('apps/worker/src/learn.ts', "import { runSft } from '@moraine/recipes';\n");
    expect(checkImports(root).map((text) => text.split(',')[0])).toEqual([
      'apps/worker/src/shared.ts imports @moraine/services',
      'apps/worker/src/learn.ts imports @moraine/recipes',
    ]);
  });

  test('a cycle, an undeclared package and a path into another room are named', () => {
    workspace('packages/data', '@moraine/data');
    write('packages/data/src/a.ts', "import { b } from './b.js';\nimport pg from 'pg';\n");
    write('packages/data/src/b.ts', "import type { A } from './a.js';\nimport '../../lm/src/x.js';\n");
    expect(checkImports(root)).toEqual([
      'packages/data/src/a.ts imports pg, which packages/data/package.json does not list',
      'packages/data/src/b.ts imports ../../lm/src/x.js, which is in another room',
      'cycle: packages/data/src/a.ts → packages/data/src/b.ts → packages/data/src/a.ts',
    ]);
  });

  test('folders that import each other are a circle although no two files do, and so are a folder and a file beside it', () => {
    workspace('packages/data', '@moraine/data');
    write('packages/data/src/rows/a.ts', "import { b } from '../tokens/b.js';\n");
    write('packages/data/src/tokens/b.ts', '');
    write('packages/data/src/tokens/c.ts', "import '../rows/d.js';\n");
    write('packages/data/src/rows/d.ts', '');
    expect(checkImports(root)).toEqual(['circle of folders in packages/data/src: rows → tokens → rows']);
    write('packages/data/src/tokens/c.ts', "import '../context.js';\n");
    write('packages/data/src/context.ts', "import '../src/tokens/b.js';\n");
    expect(checkImports(root)).toEqual(['circle of folders in packages/data/src: context.ts → tokens → context.ts']);
    write('packages/data/src/context.ts', '');
    expect(checkImports(root)).toEqual([]);
  });

  test('within a room folders import downward only, and one that no rule knows is named', () => {
    const rules = { 'packages/services/src': { ground: [], work: ['ground'], 'index.ts': ['*'] } };
    workspace('packages/services', '@moraine/services');
    write('packages/services/src/index.ts', "export * from './work/claim.js';\nexport * from './ground/db.js';\n");
    write('packages/services/src/work/claim.ts', "import { db } from '../ground/db.js';\n");
    write('packages/services/src/ground/db.ts', '');
    expect(checkImports(root, rules)).toEqual([]);
    write('packages/services/src/ground/db.ts', "import type { Lease } from '../work/lease.js';\n");
    write('packages/services/src/work/claim.ts', '');
    write('packages/services/src/work/lease.ts', '');
    write('packages/services/src/serving/x.ts', '');
    expect(checkImports(root, rules)).toEqual([
      'packages/services/src/serving has no row in the rules of scripts/check-imports.mjs',
      'packages/services/src/ground/db.ts imports work/lease.ts; ground may import none of its siblings',
    ]);
  });
});

test('documents: missing paths, links and scripts are named with their line; what exists or is an example is not', () => {
  spawnSync('git', ['init', '-q'], { cwd: root });
  write('package.json', JSON.stringify({ scripts: { demo: 'x' } }));
  workspace('apps/api', '@moraine/api');
  write('apps/api/src/app.ts', '');
  write(
    'docs/page.md',
    '`apps/api/src/app.ts:12` and `npm run demo`, `/v1/files`, `examples/*.jsonl`\n`apps/api/src/gone.ts`\n[x](../nowhere.md) [y](page.md#part)\nnpm run nothing\n`npm run openapi -w @moraine/api`\n',
  );
  expect(checkDocs(root)).toEqual([
    'docs/page.md:2 names `apps/api/src/gone.ts`, which does not exist',
    'docs/page.md:3 links to ../nowhere.md, which does not exist',
    'docs/page.md:4 names `npm run nothing`, but there is no such script',
    'docs/page.md:5 names `npm run openapi`, but there is no such script',
  ]);
});

describe('commands in documents', () => {
  const commands = [
    { name: 'runs', options: [{ name: 'limit' }] },
    { name: 'demo', options: [{ name: 'seed' }] },
    { name: 'local train', options: [{ name: 'base' }, { name: 'lr' }] },
  ];
  const problemsOf = (text: string): string[] => {
    spawnSync('git', ['init', '-q'], { cwd: root });
    const scripts = { demo: 'node scripts/bootstrap.mjs demo', bench: 'tsx scripts/bench.ts', test: 'x' };
    write('package.json', JSON.stringify({ scripts }));
    write('scripts/bench.ts', "const o = { only: { type: 'string' } }; // --out DIR");
    write('packages/lm/test/net.test.ts', '');
    write('apps/api/src/main.ts', '');
    write('page.md', text);
    return checkDocs(root, commands).map((problem) => problem.replace('page.md:', ''));
  };

  test('what exists, placeholders and programs that are not ours are left alone', () => {
    const text = [
      '`npx moraine runs ls --limit 3`, `moraine local train --base DIR --lr=1e-3`, `npx moraine local`, `npx moraine COMMAND`',
      '`npm run demo -- --seed 2 --cuda`, `npm run bench -- --only a --out b`, `npm test -- --retry=1`',
      '`npx vitest run packages/lm/test/net.test.ts`, `npx vitest run FILE`, `npx prisma migrate dev --name x`',
      '```sh\nnode apps/api/dist/main.js   # --not-a-flag\nnpx tsx scripts/bench.ts --only x | grep --colour y\n```',
    ].join('\n');
    expect(problemsOf(text)).toEqual([]);
  });

  test.each([
    [
      '`npx vitest run packages/lm/test/mora.test.ts`',
      '1 runs tests of `packages/lm/test/mora.test.ts`, which does not exist',
    ],
    ['`npx tsx scripts/gone.ts`', '1 runs `scripts/gone.ts`, which does not exist'],
    ['```sh\nnode apps/api/dist/gone.js\n```', '1 runs `apps/api/dist/gone.js`, which does not exist'],
    ['x\n\n    npx moraine train --base x', '3 names `moraine train`, but there is no such command'],
    ['```sh\nnpx moraine local train \\\n  --rate 3\n```', '1 gives --rate, which `moraine local train` does not know'],
    ['`moraine runs ls --limits 3`', '1 gives --limits, which `moraine runs` does not know'],
    ['`npm run demo -- --sead 2`', '1 gives --sead, which `moraine demo` does not know'],
    ['`npm run bench -- --fast`', '1 gives --fast, which scripts/bench.ts does not know'],
    ['`.ci/gone`', '1 names `.ci/gone`, which does not exist'],
  ])('%s is refused', (text, problem) => {
    expect(problemsOf(text)).toEqual([problem]);
  });
});

describe('packages', () => {
  const locked = {
    '': {},
    'node_modules/a': { version: '1.0.0' },
    'node_modules/b': { version: '2.0.0', optional: true },
  };
  const markOf = (lock: string): string =>
    `${createHash('sha256').update(lock).digest('hex')} ${process.platform}-${process.arch}`;
  beforeEach(() => write('node_modules/a/package.json', '{}'));

  test('node_modules that npm filled from this lock file are taken as they are', () => {
    write('package-lock.json', JSON.stringify({ packages: locked }));
    expect(packagesAreInstalled(root)).toBe(false);
    write('node_modules/.package-lock.json', JSON.stringify({ packages: { 'node_modules/a': { version: '1.0.0' } } }));
    expect(packagesAreInstalled(root)).toBe(true);
  });

  test('another version, a missing package or a changed lock file means npm ci', () => {
    write('package-lock.json', JSON.stringify({ packages: locked }));
    write('node_modules/.package-lock.json', JSON.stringify({ packages: { 'node_modules/a': { version: '0.9.0' } } }));
    expect(packagesAreInstalled(root)).toBe(false);
    write('node_modules/.package-lock.json', JSON.stringify({ packages: {} }));
    expect(packagesAreInstalled(root)).toBe(false);
    write('node_modules/.package-lock.json', JSON.stringify({ packages: { 'node_modules/a': { version: '1.0.0' } } }));
    expect(packagesAreInstalled(root)).toBe(true);
    write('package-lock.json', JSON.stringify({ packages: { ...locked, 'node_modules/c': { version: '1.0.0' } } }));
    expect(packagesAreInstalled(root)).toBe(false);
  });

  test('a package that is not there means npm ci, whatever was noted', () => {
    const lock = JSON.stringify({ packages: locked });
    write('package-lock.json', lock);
    write('node_modules/.package-lock.json', JSON.stringify({ packages: locked }));
    write('node_modules/.moraine-packages', markOf(lock));
    expect(packagesAreInstalled(root)).toBe(true);
    rmSync(path.join(root, 'node_modules/a'), { recursive: true });
    expect(packagesAreInstalled(root)).toBe(false);
  });

  test('what is noted reaches no other folder whose files are links to the same', () => {
    write('package-lock.json', JSON.stringify({ packages: locked }));
    write('node_modules/.package-lock.json', JSON.stringify({ packages: locked }));
    write('other/.moraine-packages', 'of another folder');
    linkSync(path.join(root, 'other/.moraine-packages'), path.join(root, 'node_modules/.moraine-packages'));
    expect(packagesAreInstalled(root)).toBe(true);
    expect(readFileSync(path.join(root, 'other/.moraine-packages'), 'utf8')).toBe('of another folder');
  });

  test('a workspace whose link is not there means npm ci, whatever was noted', () => {
    write('package-lock.json', JSON.stringify({ packages: locked }));
    write('node_modules/.package-lock.json', JSON.stringify({ packages: { 'node_modules/a': { version: '1.0.0' } } }));
    expect(packagesAreInstalled(root)).toBe(true);
    const link = { 'node_modules/@moraine/new': { resolved: 'apps/new', link: true } };
    const lock = JSON.stringify({ packages: { ...locked, ...link } });
    write('package-lock.json', lock);
    write('node_modules/.moraine-packages', markOf(lock));
    expect(packagesAreInstalled(root)).toBe(false);
    write('node_modules/@moraine/new/package.json', '{}');
    expect(packagesAreInstalled(root)).toBe(true);
  });
});

test('a machine without python and compiler hears of both at once, with one command, before anything is fetched', () => {
  const bin = path.join(root, 'bin');
  mkdirSync(bin);
  symlinkSync(process.execPath, path.join(bin, 'node'));
  const bootstrap = fileURLToPath(new URL('../bootstrap.mjs', import.meta.url));
  const { status, stderr } = spawnSync(process.execPath, [bootstrap, 'demo'], {
    encoding: 'utf8',
    env: { PATH: bin, XDG_CACHE_HOME: path.join(root, 'cache'), HOME: root },
  });
  expect(status).toBe(1);
  expect(stderr).toMatch(/python3 was not found/);
  expect(stderr).toMatch(/No C\+\+ compiler was found/);
  expect(stderr).toMatch(/apt-get install -y python3 python3-pip g\+\+|brew install python && xcode-select --install/);
});
