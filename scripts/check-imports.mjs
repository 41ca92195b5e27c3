#!/usr/bin/env node
// Who may import whom (docs of the rooms: docs/architecture.md), and that no file and no folder imports itself round a corner.
// Type-only imports count: a room that names another room's types knows it.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { arrowsWithin, circlesOf, edgesOf, foldersOf, importsOf, packageOf, upwardImports } from './house/graph.mjs';

/** Room -> what it may import of ours. `lazily:` means by `import()` or as types only. */
export const rooms = {
  'packages/contract': [],
  'packages/data': ['@moraine/contract'],
  'packages/engine': ['@moraine/contract/safetensors', '@moraine/contract/make-folder'],
  'packages/lm': ['@moraine/engine', '@moraine/contract'],
  'packages/recipes': ['@moraine/contract', '@moraine/data', '@moraine/lm', '@moraine/engine'],
  'packages/services': ['@moraine/contract', '@moraine/data'],
  'packages/testing': ['*'],
  'apps/api': ['@moraine/contract', '@moraine/services', 'lazily:@moraine/recipes'],
  'apps/worker': ['@moraine/contract', '@moraine/services', '@moraine/recipes'],
  'apps/inference': ['@moraine/contract', '@moraine/data', '@moraine/recipes', '@moraine/services'],
  'apps/dashboard': ['@moraine/contract'],
  'apps/cli': [
    '@moraine/contract',
    '@moraine/data/hub',
    'lazily:@moraine/recipes',
    'lazily:@moraine/inference',
    'lazily:@moraine/engine/install',
  ],
};

/** Folder -> what each folder or file in it may import of its siblings; every one must be listed. `*` is all of them.
 * @type {Record<string, Record<string, string[]>>} */
export const folders = {
  'packages/services/src': {
    ground: [],
    access: ['ground'],
    library: ['ground'],
    webhooks: ['ground'],
    work: ['ground'],
    training: ['work', 'library', 'ground'],
    evaluation: ['training', 'work', 'library', 'ground'],
    analysis: ['training', 'work', 'library', 'ground'],
    serving: ['training', 'work', 'library', 'ground'],
    kinds: ['analysis', 'evaluation', 'training', 'work', 'ground'],
    experiments: ['evaluation', 'training', 'work', 'library', 'ground'],
    reconcile: ['experiments', 'kinds', 'analysis', 'evaluation', 'training', 'work', 'library', 'ground'],
    'index.ts': ['*'],
  },
};

/** npm packages that only these rooms may know. */
const reserved = [
  { pattern: /^@tensorflow\//, rooms: ['packages/engine'] },
  { pattern: /^(@prisma\/|prisma$)/, rooms: ['packages/services'] },
  { pattern: /^bullmq$/, rooms: ['packages/services', 'apps/worker', 'packages/testing'] },
];

/** All violations below `root`, one sentence each. The rules are a parameter for the tests. */
export function checkImports(root, folderRules = folders) {
  const problems = [];
  const graph = new Map();
  for (const room of Object.keys(rooms)) {
    if (!existsSync(path.join(root, room, 'package.json'))) continue;
    const edges = edgesOf(root, room);
    problems.push(...roomProblems(root, room, edges), ...folderCircles(root, room, edges));
    for (const [file, targets] of edges) graph.set(file, targets);
  }
  const files = circlesOf(graph).map(
    (circle) => `cycle: ${circle.map((name) => path.relative(root, name)).join(' → ')}`,
  );
  return [...problems, ...folderProblems(root, graph, folderRules), ...workerProblems(root, graph), ...files];
}

/** What a room's files import from outside of it, or from nowhere. */
function roomProblems(root, room, edges) {
  const manifest = JSON.parse(readFileSync(path.join(root, room, 'package.json'), 'utf8'));
  const { dependencies, devDependencies, optionalDependencies } = manifest;
  const declared = new Set([
    manifest.name,
    ...Object.keys({ ...dependencies, ...devDependencies, ...optionalDependencies }),
  ]);
  const problems = [];
  for (const [file, targets] of edges) {
    const imports = importsOf(readFileSync(file, 'utf8'));
    const outside = targets.flatMap((target, i) =>
      target.startsWith(path.join(root, room) + path.sep)
        ? []
        : [`imports ${imports.filter(({ name }) => name.startsWith('.'))[i]?.name}, which is in another room`],
    );
    const said = [...imports.flatMap((found) => packageProblems(room, found, declared)), ...outside];
    problems.push(...said.map((text) => `${path.relative(root, file)} ${text}`));
  }
  return problems;
}

/** What is wrong with importing a package: not declared, another room's own, or not allowed to this room. */
function packageProblems(room, { name, isLazy }, declared) {
  if (/^(\.|node:|virtual:)/.test(name)) return [];
  const problems = [];
  if (!declared.has(packageOf(name))) problems.push(`imports ${name}, which ${room}/package.json does not list`);
  for (const { pattern, rooms: owners } of reserved) {
    if (pattern.test(name) && !owners.includes(room))
      problems.push(`imports ${name}, which belongs to ${owners.join(', ')}`);
  }
  const isOurs = packageOf(name).startsWith('@moraine/') || packageOf(name) === 'moraine';
  if (isOurs && !isAllowed(rooms[room], name, isLazy))
    problems.push(`imports ${name}; ${room} may import ${rooms[room].join(', ') || 'nothing of ours'}`);
  return problems;
}

/** Siblings (folders and files of one folder) that import each other round a corner, although no two files need to. */
function folderCircles(root, room, edges) {
  return foldersOf([...edges.keys()], path.join(root, room)).flatMap((folder) =>
    circlesOf(arrowsWithin(folder, edges))
      // Two files that import each other are named as files.
      .filter((circle) => circle.some((name) => !path.extname(name)))
      .map((circle) => `circle of folders in ${path.relative(root, folder)}: ${circle.join(' → ')}`),
  );
}

/** Imports that go upward, against the rules of their folder. */
function folderProblems(root, graph, rules) {
  const problems = [];
  for (const [folder, rows] of Object.entries(rules)) {
    const at = path.join(root, folder);
    for (const name of arrowsWithin(at, graph).keys()) {
      if (rows[name] === undefined)
        problems.push(`${folder}/${name} has no row in the rules of scripts/check-imports.mjs`);
    }
    for (const { file, target, from } of upwardImports(at, graph, rows)) {
      problems.push(
        `${path.relative(root, file)} imports ${path.relative(at, target)}; ${from} may import ${rows[from].join(', ') || 'none of its siblings'}`,
      );
    }
  }
  return problems;
}

function isAllowed(allowed, name, isLazy) {
  return allowed.some((entry) => {
    if (entry === '*') return true;
    const wanted = entry.replace('lazily:', '');
    return (name === wanted || name.startsWith(`${wanted}/`)) && (isLazy || !entry.startsWith('lazily:'));
  });
}

function reach(graph, starts) {
  const seen = new Set();
  const todo = [...starts];
  for (let file = todo.pop(); file !== undefined; file = todo.pop()) {
    if (seen.has(file) || !graph.has(file)) continue;
    seen.add(file);
    todo.push(...graph.get(file));
  }
  return seen;
}

/** The worker has two programs: the child (attempt.ts and what it reaches) has no connections, the supervisor never learns. */
function workerProblems(root, graph) {
  const source = path.join(root, 'apps/worker/src');
  const child = reach(graph, [path.join(source, 'attempt.ts')]);
  const supervisor = reach(
    graph,
    [...graph.keys()].filter((file) => file.startsWith(source + path.sep) && !child.has(file)),
  );
  const problems = [];
  for (const [files, forbidden, who] of [
    [child, /^(@moraine\/services|bullmq|ioredis|pg)(\/|$)/, 'part of the attempt’s process, which has no connections'],
    [supervisor, /^@moraine\/(recipes|lm|engine)(\/|$)/, 'part of the supervisor, which never loads TensorFlow'],
  ]) {
    for (const file of files) {
      for (const { name } of importsOf(readFileSync(file, 'utf8'))) {
        if (forbidden.test(name)) problems.push(`${path.relative(root, file)} imports ${name}, but is ${who}`);
      }
    }
  }
  return problems;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const problems = checkImports(path.resolve(path.dirname(process.argv[1]), '..'));
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) process.exit(1);
}
