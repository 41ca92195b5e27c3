// What the figures of the house are: counted on syntax trees (oxc-parser) and on the import graph.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parseSync } from 'oxc-parser';
import { arrowsWithin, circlesOf, edgesOf, foldersOf, sourcesOf, upwardImports } from '../house/graph.mjs';
import { arrowsAgainst } from '../house/layout.mjs';

const lineCount = (text) => (text === '' ? 0 : text.replace(/\n$/, '').split('\n').length);
const linesOf = (files) => files.reduce((sum, file) => sum + lineCount(readFileSync(file, 'utf8')), 0);

/** Calls `visit` with every node of a syntax tree and its parent. */
function walk(node, visit, parent = null) {
  if (Array.isArray(node)) {
    for (const item of node) walk(item, visit, parent);
    return;
  }
  if (node === null || typeof node !== 'object' || typeof node.type !== 'string') return;
  visit(node, parent);
  for (const value of Object.values(node)) if (typeof value === 'object') walk(value, visit, node);
}

/** Functions with a name (declarations, methods, functions that are a variable's or a property's value): {name, lines}. */
export function functionsOf(name, text) {
  const functions = [];
  walk(parseSync(name, text).program, (node, parent) => {
    const isFunction = /^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/.test(node.type);
    if (!isFunction || node.body === null) return;
    const named = node.id ?? parent?.id ?? parent?.key;
    if (named?.name === undefined || !holdsAsValue(parent, node)) return;
    functions.push({ name: named.name, lines: lineCount(text.slice(node.start, node.end)) });
  });
  return functions;
}

const holdsAsValue = (parent, node) =>
  node.type === 'FunctionDeclaration' || parent?.init === node || parent?.value === node;

/** Errors that a text makes: {all, bare}; bare are of the class Error itself. A rethrown one is not made. */
export function errorsOf(name, text) {
  let [all, bare] = [0, 0];
  walk(parseSync(name, text).program, (node) => {
    if (node.type !== 'NewExpression' || !/Error$/.test(node.callee.name ?? '')) return;
    all++;
    if (node.callee.name === 'Error') bare++;
  });
  return { all, bare };
}

/** The text without its comments. */
export function withoutComments(name, text) {
  let left = '';
  let end = 0;
  for (const comment of parseSync(name, text).comments) {
    left += text.slice(end, comment.start);
    end = comment.end;
  }
  return left + text.slice(end);
}

/** Whether code names one of the methods: as a word, as a part of a name (`initLora`), or as written for people (`LoRA`). */
export function namesMethod(code, methods) {
  return methods.some((method) => {
    const capital = method[0].toUpperCase() + method.slice(1);
    const spelled = `${method.slice(0, -2)}${method.slice(-2).toUpperCase()}`.replace(/^./, (first) =>
      first.toUpperCase(),
    );
    return new RegExp(`(?<![A-Za-z])${method}(?![a-z])|(?<=[a-z])${capital}(?![a-z])|${spelled}`).test(code);
  });
}

/** Names of the methods: the files of the rows. A tree from before there were rows has these two. */
function methodsOf(root) {
  const folder = path.join(root, 'packages/contract/src/methods');
  if (!existsSync(folder)) return ['lora', 'mora'];
  const rows = readdirSync(path.join(root, 'packages/lm/src/methods')).map((name) => path.parse(name).name);
  return readdirSync(folder)
    .map((name) => path.parse(name).name)
    .filter((name) => rows.includes(name) && !/^(index|method|registry|full)$/.test(name));
}

/** Where a method may be named: its rows, the demo, which is three runs with chosen methods, and what other programs call its keys or read of an adapter's files. */
const rowFolders = [
  // What other tools call the keys of a method.
  'packages/contract/src/suggest-key.ts',
  'packages/contract/src/methods/',
  'packages/lm/src/methods/',
  'apps/cli/src/demo/',
  'packages/recipes/src/export/serving-notes.ts',
  // What other services call their adapters.
  'packages/contract/src/moving/',
  // Which methods are tuned.
  'apps/cli/src/tune/plan.ts',
  // A colour value each.
  'packages/contract/src/plot/colors.ts',
];

function roomFigures(root, room) {
  const sources = [...edgesOf(root, room).keys()];
  const tests = sourcesOf(path.join(root, room, 'test'));
  return { room, files: sources.length, lines: linesOf(sources), testLines: linesOf(tests), sources };
}

/** Circles of folders and upward imports of a room: against the rules of its folders, or against the floors that its arrows make. */
function arrowFigures(root, room, rules) {
  const edges = edgesOf(root, room);
  const folders = foldersOf([...edges.keys()], path.join(root, room));
  const circles = folders.flatMap((folder) =>
    circlesOf(arrowsWithin(folder, edges)).map((circle) => `${path.relative(root, folder)}: ${circle.join(' → ')}`),
  );
  const upward = folders.flatMap((folder) => {
    const against = arrowsAgainst(arrowsWithin(folder, edges)).against.map(([from, to]) => `${from} → ${to}`);
    const forbidden = upwardImports(folder, edges, rules[path.relative(root, folder)] ?? {});
    const named = new Set([...against, ...forbidden.map(({ from, to }) => `${from} → ${to}`)]);
    return [...named].map((arrow) => `${path.relative(root, folder)}: ${arrow}`);
  });
  return { circles, upward };
}

const share = (sorted, part) => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0;

/** All figures of the tree at `root`. */
export function measure(root, roomNames, rules) {
  const rooms = roomNames
    .filter((room) => existsSync(path.join(root, room, 'package.json')))
    .map((room) => roomFigures(root, room));
  const methods = methodsOf(root);
  const functions = [];
  const errors = { all: 0, bare: 0 };
  const naming = [];
  for (const file of rooms.flatMap(({ sources }) => sources)) {
    const name = path.relative(root, file);
    const text = readFileSync(file, 'utf8');
    functions.push(...functionsOf(name, text).map((one) => ({ ...one, file: name })));
    const { all, bare } = errorsOf(name, text);
    errors.all += all;
    errors.bare += bare;
    const isRow = rowFolders.some((folder) => name.startsWith(folder));
    if (!isRow && namesMethod(withoutComments(name, text), methods)) naming.push(name);
  }
  const lengths = functions.map(({ lines }) => lines).sort((a, b) => a - b);
  const arrows = rooms.map(({ room }) => arrowFigures(root, room, rules));
  return {
    rooms,
    functions: {
      count: lengths.length,
      median: share(lengths, 0.5),
      p90: share(lengths, 0.9),
      longest: functions.reduce((a, b) => (b.lines > a.lines ? b : a), { name: '', file: '', lines: 0 }),
    },
    circles: arrows.flatMap(({ circles }) => circles),
    upward: arrows.flatMap(({ upward }) => upward),
    errors,
    naming,
  };
}
