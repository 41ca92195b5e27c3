#!/usr/bin/env node
// Who may import whom (docs of the rooms: CONTRIBUTING.md), and that no file imports itself round a corner.
// Type-only imports count: a room that names another room's types knows it. No dependency, no TypeScript API: imports have few forms.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

/** Room -> what it may import of ours. `lazily:` means by `import()` or as types only. */
const rooms = {
  'packages/contract': [],
  'packages/data': ['@moraine/contract'],
  'packages/engine': [],
  'packages/lm': ['@moraine/engine', '@moraine/contract'],
  'packages/recipes': ['@moraine/contract', '@moraine/data', '@moraine/lm', '@moraine/engine'],
  'packages/services': ['@moraine/contract', '@moraine/data'],
  'packages/testing': ['*'],
  'apps/api': ['@moraine/contract', '@moraine/services'],
  'apps/worker': ['@moraine/contract', '@moraine/services', '@moraine/recipes'],
  'apps/dashboard': ['@moraine/contract'],
  'apps/cli': ['@moraine/contract', 'lazily:@moraine/recipes', 'lazily:@moraine/engine/install'],
};

/** npm packages that only these rooms may know. */
const reserved = [
  { pattern: /^@tensorflow\//, rooms: ['packages/engine'] },
  { pattern: /^(@prisma\/|prisma$)/, rooms: ['packages/services'] },
  { pattern: /^bullmq$/, rooms: ['packages/services', 'apps/worker', 'packages/testing'] },
];

const statement = /^[ \t]*(import|export)\s+(type\s+)?(?:[^'"`;]*?\bfrom\s*)?['"]([^'"\n]+)['"]/gm;
const dynamic = /\bimport\(\s*['"]([^'"\n]+)['"]\s*\)/g;

/** Every import of a source text: {name, isLazy}. Exported for its test. */
export function importsOf(text) {
  const found = [...text.matchAll(statement)].map(([, , type, name]) => ({ name, isLazy: type !== undefined }));
  return [...found, ...[...text.matchAll(dynamic)].map(([, name]) => ({ name, isLazy: true }))];
}

function sourcesOf(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter(
      (name) =>
        /\.(ts|tsx|mjs)$/.test(name) && !/(^|\/)(node_modules|generated)\//.test(name) && !name.endsWith('.d.ts'),
    )
    .map((name) => path.join(folder, name));
}

/** All violations below `root`, one sentence each. */
export function checkImports(root) {
  const problems = [];
  const graph = new Map();
  for (const [room, allowed] of Object.entries(rooms)) {
    const manifest = path.join(root, room, 'package.json');
    if (!existsSync(manifest)) continue;
    const {
      name: own,
      dependencies = {},
      devDependencies = {},
      optionalDependencies = {},
    } = JSON.parse(readFileSync(manifest, 'utf8'));
    const declared = new Set([own, ...Object.keys({ ...dependencies, ...devDependencies, ...optionalDependencies })]);
    for (const file of [...sourcesOf(path.join(root, room, 'src')), ...sourcesOf(path.join(root, room, 'bin'))]) {
      const edges = [];
      const say = (text) => problems.push(`${path.relative(root, file)} ${text}`);
      for (const { name, isLazy } of importsOf(readFileSync(file, 'utf8'))) {
        if (name.startsWith('.')) {
          const target = resolveRelative(file, name);
          if (!target.startsWith(path.join(root, room) + path.sep)) say(`imports ${name}, which lies in another room`);
          else edges.push(target);
        } else if (!name.startsWith('node:') && !name.startsWith('virtual:')) {
          const packageName = name
            .split('/')
            .slice(0, name.startsWith('@') ? 2 : 1)
            .join('/');
          if (!declared.has(packageName)) say(`imports ${name}, which ${room}/package.json does not list`);
          for (const { pattern, rooms: owners } of reserved) {
            if (pattern.test(name) && !owners.includes(room))
              say(`imports ${name}, which belongs to ${owners.join(', ')}`);
          }
          if (packageName.startsWith('@moraine/') || packageName === 'moraine') {
            if (!isAllowed(allowed, name, isLazy))
              say(`imports ${name}; ${room} may import ${allowed.join(', ') || 'nothing of ours'}`);
          }
        }
      }
      graph.set(file, edges);
    }
  }
  return [...problems, ...workerProblems(root, graph), ...cycles(root, graph)];
}

function isAllowed(allowed, name, isLazy) {
  return allowed.some((entry) => {
    if (entry === '*') return true;
    const wanted = entry.replace('lazily:', '');
    return (name === wanted || name.startsWith(`${wanted}/`)) && (isLazy || !entry.startsWith('lazily:'));
  });
}

function resolveRelative(file, name) {
  const base = path.resolve(path.dirname(file), name);
  const tried = [base.replace(/\.js$/, '.ts'), base.replace(/\.js$/, '.tsx'), base, `${base}.ts`, `${base}.tsx`];
  return tried.find((candidate) => existsSync(candidate) && /\.[a-z]+$/.test(candidate)) ?? base;
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

function cycles(root, graph) {
  const state = new Map();
  const problems = [];
  const visit = (file, trail) => {
    if (state.get(file) === 'done' || !graph.has(file)) return;
    if (state.get(file) === 'open') {
      const loop = [...trail.slice(trail.indexOf(file)), file].map((name) => path.relative(root, name));
      problems.push(`cycle: ${loop.join(' → ')}`);
      return;
    }
    state.set(file, 'open');
    for (const next of graph.get(file)) visit(next, [...trail, file]);
    state.set(file, 'done');
  };
  for (const file of graph.keys()) visit(file, []);
  return problems;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const problems = checkImports(path.resolve(path.dirname(process.argv[1]), '..'));
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) process.exit(1);
}
