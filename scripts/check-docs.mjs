#!/usr/bin/env node
// Every path, every `npm run` script and every command that a document names must exist, with its files and flags.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { commandProblems, commandsOf, readCommands } from './docs/commands.mjs';

const extension = /\.(md|ts|tsx|mjs|cjs|js|json|jsonl|ya?ml|sh|py|txt|prisma|sql|png|html|css)$/;
const builtIn = new Set(['ci', 'install', 'test', 'start', 'run', 'exec', 'audit', 'ls', 'view', 'init']);

function documents(root) {
  const listed = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '*.md'], {
    cwd: root,
    encoding: 'utf8',
  });
  return listed.split('\n').filter((name) => name !== '' && existsSync(path.join(root, name)));
}

function scriptsOf(folder) {
  const manifest = path.join(folder, 'package.json');
  return existsSync(manifest) ? (JSON.parse(readFileSync(manifest, 'utf8')).scripts ?? {}) : {};
}

function workspaceFolders(root) {
  const folders = new Map();
  for (const group of ['apps', 'packages']) {
    for (const name of existsSync(path.join(root, group)) ? readdirSync(path.join(root, group)) : []) {
      const manifest = path.join(root, group, name, 'package.json');
      if (existsSync(manifest)) folders.set(JSON.parse(readFileSync(manifest, 'utf8')).name, path.dirname(manifest));
    }
  }
  return folders;
}

/** Whether a word in backticks is meant as a path of this repository. */
function looksLikePath(word, top) {
  if (
    /[\s*<>{}()$|…=,]|:\/\/|^[-@/~]|^\.\.?$|^\.(data|turbo|venv)\b|^node_modules\/|^\.\.\/shared\/|\/\/|(^|\/)dist\//.test(
      word,
    )
  )
    return false;
  const [first = ''] = word.split('/');
  if (!word.includes('/')) return false;
  return top.has(first) || /^(src|test|\.|\.\.)$/.test(first) || (extension.test(word) && !/^[a-z-]+:/i.test(word));
}

/** All broken references below `root`, one sentence each; `commands` are those of the command line, as `moraine help --json` lists them. */
export function checkDocs(root, commands = readCommands(root)) {
  const problems = [];
  const top = new Set(readdirSync(root));
  const workspaces = workspaceFolders(root);
  const rootScripts = scriptsOf(root);
  for (const name of documents(root)) {
    const folder = path.dirname(path.join(root, name));
    const text = readFileSync(path.join(root, name), 'utf8');
    const exists = (target) => [folder, root].some((base) => existsSync(path.join(base, target)));
    const say = (at, what) => problems.push(`${name}:${text.slice(0, at).split('\n').length} ${what}`);

    for (const match of text.matchAll(/(?<!`)`([^`\n]+)`(?!`)/g)) {
      const word = (match[1] ?? '').replace(/(:\d+(-\d+)?|#\S+)$/, '').replace(/[.,;]$/, '');
      if (looksLikePath(word, top) && !exists(word)) say(match.index, `names \`${word}\`, which does not exist`);
    }
    for (const match of text.matchAll(/\]\((?!\w+:|#)([^)\s#]+)(#[^)]*)?\)/g)) {
      const target = decodeURIComponent(match[1] ?? '');
      if (!target.startsWith('/') && !existsSync(path.join(folder, target)))
        say(match.index, `links to ${target}, which does not exist`);
    }
    for (const match of text.matchAll(/\bnpm run ([a-z][\w:-]*)((?: (?:-w|--workspace)[ =]([^\s`]+))?)/g)) {
      const [, script = '', , workspace] = match;
      const scripts =
        workspace === undefined ? rootScripts : scriptsOf(workspaces.get(workspace) ?? path.join(root, workspace));
      if (scripts[script] === undefined) say(match.index, `names \`npm run ${script}\`, but there is no such script`);
    }
    for (const match of text.matchAll(/\bnpm (start|test)\b/g)) {
      if (rootScripts[match[1]] === undefined && !builtIn.has(match[1])) say(match.index, `names npm ${match[1]}`);
    }
    for (const { at, words } of commandsOf(text)) {
      for (const problem of commandProblems(words, { root, folder, scripts: rootScripts, commands })) say(at, problem);
    }
  }
  return problems;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const problems = checkDocs(path.resolve(path.dirname(process.argv[1]), '..'));
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) process.exit(1);
}
