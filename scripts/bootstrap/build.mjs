// Compiles the workspaces with turbo, and does not even start turbo when no source changed since the last build.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { step } from './console.mjs';
import { must } from './run.mjs';

const stamp = (root) => path.join(root, 'node_modules', '.cache', 'moraine', 'build-stamp');
const skipped = new Set(['node_modules', 'dist', 'test', 'generated', '.turbo', 'README.md', 'wheels']);

/** Every package and app that has something to build. */
export function workspaces(root) {
  return ['packages', 'apps'].flatMap((group) =>
    readdirSync(path.join(root, group))
      .map((name) => path.join(root, group, name))
      .filter((folder) => existsSync(path.join(folder, 'package.json'))),
  );
}

/** Names, sizes and times of all sources as one hash; about 20 ms. */
function fingerprint(root) {
  const hash = createHash('sha256').update(process.versions.node.split('.')[0]);
  const visit = (file) => {
    const found = statSync(file, { throwIfNoEntry: false });
    if (found === undefined) return;
    if (!found.isDirectory()) hash.update(`${path.relative(root, file)} ${found.size} ${found.mtimeMs}\n`);
    else for (const name of readdirSync(file).sort()) if (!skipped.has(name)) visit(path.join(file, name));
  };
  for (const name of ['package-lock.json', 'tsconfig.base.json', 'turbo.json', 'prisma', 'prisma.config.ts']) {
    visit(path.join(root, name));
  }
  for (const folder of workspaces(root)) visit(folder);
  return hash.digest('hex');
}

export function isBuilt(root) {
  const isComplete = workspaces(root).every((folder) => existsSync(path.join(folder, 'dist')));
  return isComplete && existsSync(stamp(root)) && readFileSync(stamp(root), 'utf8') === fingerprint(root);
}

export async function build(root) {
  const before = fingerprint(root);
  await step('build', 'TypeScript and dashboard', async () => {
    const turbo = path.join(root, 'node_modules', 'turbo', 'bin', 'turbo');
    await must(
      [
        process.execPath,
        turbo,
        'run',
        'build',
        `--concurrency=${availableParallelism()}`,
        '--output-logs=errors-only',
        '--no-color',
      ],
      { cwd: root },
    );
  });
  mkdirSync(path.dirname(stamp(root)), { recursive: true });
  writeFileSync(stamp(root), before);
}
