import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { productionModules } from '../../src/bundle/production-modules.js';
import { inRepo } from '../../src/paths.js';

const root = mkdtempSync(path.join(tmpdir(), 'moraine modules '));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** A tree as npm records it. */
function record(packages: Record<string, unknown>): void {
  mkdirSync(path.join(root, 'node_modules'), { recursive: true });
  writeFileSync(path.join(root, 'node_modules', '.package-lock.json'), JSON.stringify({ packages }));
}

const tree = {
  'apps/tool': { dependencies: { '@ours/lib': '1', plain: '1' }, devDependencies: { tester: '1' } },
  'node_modules/tool': { link: true, resolved: 'apps/tool' },
  'node_modules/@ours/lib': { link: true, resolved: 'packages/lib' },
  'packages/lib': { dependencies: { nested: '2' }, optionalDependencies: { 'not-here': '1', server: '1' } },
  'packages/lib/node_modules/nested': { dependencies: { deep: '1' } },
  'packages/lib/node_modules/deep': {},
  'node_modules/nested': { dependencies: { unused: '1' } },
  'node_modules/unused': {},
  'node_modules/plain': {
    dependencies: { plain: '1', inner: '1' },
    peerDependencies: { friend: '1', stranger: '1' },
    peerDependenciesMeta: { stranger: { optional: true } },
  },
  'node_modules/plain/node_modules/inner': { dependencies: { friend: '1' } },
  'node_modules/inner': {},
  'node_modules/friend': {},
  'node_modules/stranger': {},
  'node_modules/server': { dependencies: { 'server-only': '1' } },
  'node_modules/server-only': {},
  'node_modules/tester': {},
};

test('the nearest copy of a package counts, and what only development or an optional peer needs is left out', () => {
  record(tree);
  const { packages, workspaces } = productionModules(root, 'apps/tool');
  expect(packages).toEqual([
    'node_modules/friend',
    'node_modules/plain',
    'node_modules/plain/node_modules/inner',
    'node_modules/server',
    'node_modules/server-only',
    'packages/lib/node_modules/deep',
    'packages/lib/node_modules/nested',
  ]);
  expect(workspaces).toEqual([
    { folder: 'apps/tool', link: 'node_modules/tool' },
    { folder: 'packages/lib', link: 'node_modules/@ours/lib' },
  ]);
});

test('a package that is not wanted goes with whatever only it needs', () => {
  record(tree);
  const { packages } = productionModules(root, 'apps/tool', (name) => name !== 'server');
  expect(packages.filter((name) => name.includes('server'))).toEqual([]);
  expect(packages).toContain('packages/lib/node_modules/deep');
});

describe('of this checkout', () => {
  const { packages, workspaces } = productionModules(inRepo(), 'apps/cli');

  test('tools of development stay at home', () => {
    for (const name of ['vitest', 'typescript', 'prisma', '@biomejs/biome', 'turbo', 'playwright-core'])
      expect(packages).not.toContain(`node_modules/${name}`);
    expect(workspaces.map(({ folder }) => folder)).not.toContain('packages/testing');
  });

  test('every package that the built rooms import is there', () => {
    const links = new Set(workspaces.map(({ link }) => link));
    let imports = 0;
    for (const { folder } of workspaces) {
      const dist = inRepo(folder, 'dist');
      for (const name of readdirSync(dist, { recursive: true, encoding: 'utf8' })) {
        if (!name.endsWith('.js') || name.includes('generated')) continue;
        for (const [, found = ''] of readFileSync(path.join(dist, name), 'utf8').matchAll(
          /^(?:import|export)[^'\n]* from '([^'.][^']*)'/gm,
        )) {
          if (found.startsWith('node:')) continue;
          const parts = found.split('/');
          const wanted = `node_modules/${found.startsWith('@') ? parts.slice(0, 2).join('/') : parts[0]}`;
          expect(packages.includes(wanted) || links.has(wanted), `${folder}/dist/${name} imports ${found}`).toBe(true);
          imports += 1;
        }
      }
    }
    expect(imports).toBeGreaterThan(200);
  });

  test('what TensorFlow’s package requires without declaring it is there', () => {
    for (const name of ['long', 'seedrandom']) expect(packages).toContain(`node_modules/${name}`);
  });
});
