// The import graph of packages and apps: read once, used by the import check, the picture of the house and the figures.
// No TypeScript API (version 7 has none for JavaScript) and no dependency: imports have few forms.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

const statement = /^[ \t]*(import|export)\s+(type\s+)?(?:[^'"`;]*?\bfrom\s*)?['"]([^'"\n]+)['"]/gm;
const dynamic = /\bimport\(\s*['"]([^'"\n]+)['"]\s*\)/g;

/** Every import of a source text: {name, isLazy}; lazy are `import()` and `import type`. */
export function importsOf(text) {
  const found = [...text.matchAll(statement)].map(([, , type, name]) => ({ name, isLazy: type !== undefined }));
  return [...found, ...[...text.matchAll(dynamic)].map(([, name]) => ({ name, isLazy: true }))];
}

/** Source files below `folder`, absolute, sorted; generated code and declarations are not sources. */
export function sourcesOf(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter(
      (name) =>
        /\.(ts|tsx|mjs)$/.test(name) && !/(^|\/)(node_modules|generated)\//.test(name) && !name.endsWith('.d.ts'),
    )
    .sort()
    .map((name) => path.join(folder, name));
}

/** The file that the relative import `name` of `file` means. */
export function resolveRelative(file, name) {
  const base = path.resolve(path.dirname(file), name);
  const tried = [base.replace(/\.js$/, '.ts'), base.replace(/\.js$/, '.tsx'), base, `${base}.ts`, `${base}.tsx`];
  return tried.find((candidate) => existsSync(candidate) && /\.[a-z]+$/.test(candidate)) ?? base;
}

/** The package of an import: `@moraine/engine/install` is in `@moraine/engine`. */
export const packageOf = (name) =>
  name
    .split('/')
    .slice(0, name.startsWith('@') ? 2 : 1)
    .join('/');

/**
 * What `folder` (absolute) imports within itself, seen from above: nodes are its subfolders and its own files, by name; an arrow
 * is an import between files of two of them. Returns a map of name to the set of names it imports.
 */
export function arrowsWithin(folder, edges) {
  const nodeOf = (file) => path.relative(folder, file).split(path.sep)[0] ?? '';
  const arrows = new Map();
  for (const [file, targets] of edges) {
    if (!file.startsWith(folder + path.sep)) continue;
    const from = nodeOf(file);
    if (!arrows.has(from)) arrows.set(from, new Set());
    for (const target of targets) {
      if (!target.startsWith(folder + path.sep)) continue;
      if (nodeOf(target) !== from) arrows.get(from).add(nodeOf(target));
    }
  }
  return arrows;
}

/** Imports within `folder` that its `rows` (name of a sibling -> the siblings it may import, `*` for all) do not allow. */
export function upwardImports(folder, edges, rows) {
  const nodeOf = (file) => path.relative(folder, file).split(path.sep)[0] ?? '';
  const upward = [];
  for (const [file, targets] of edges) {
    const allowed = file.startsWith(folder + path.sep) ? rows[nodeOf(file)] : undefined;
    if (allowed === undefined || allowed.includes('*')) continue;
    for (const target of targets) {
      const [from, to] = [nodeOf(file), nodeOf(target)];
      if (target.startsWith(folder + path.sep) && from !== to && !allowed.includes(to))
        upward.push({ file, target, from, to });
    }
  }
  return upward;
}

/** Circles of a graph (map of node to the nodes it points to): each as a list of nodes that ends with the one it began with. */
export function circlesOf(graph) {
  const state = new Map();
  const circles = [];
  const visit = (node, trail) => {
    if (state.get(node) === 'done' || !graph.has(node)) return;
    if (state.get(node) === 'open') {
      circles.push([...trail.slice(trail.indexOf(node)), node]);
      return;
    }
    state.set(node, 'open');
    for (const next of graph.get(node)) visit(next, [...trail, node]);
    state.set(node, 'done');
  };
  for (const node of graph.keys()) visit(node, []);
  return circles;
}

/** Every folder that has files below it, of a list of files; only those at or below `top`. */
export function foldersOf(files, top) {
  const folders = new Set();
  for (const file of files) {
    for (
      let folder = path.dirname(file);
      folder === top || folder.startsWith(top + path.sep);
      folder = path.dirname(folder)
    )
      folders.add(folder);
  }
  return [...folders].sort();
}

/** Relative imports of every source file of a room (`src` and `bin`): map of file to files. */
export function edgesOf(root, room) {
  const files = ['src', 'bin'].flatMap((part) => sourcesOf(path.join(root, room, part)));
  return new Map(
    files.map((file) => [
      file,
      importsOf(readFileSync(file, 'utf8'))
        .filter(({ name }) => name.startsWith('.'))
        .map(({ name }) => resolveRelative(file, name)),
    ]),
  );
}
