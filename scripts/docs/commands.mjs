// Commands in documents: their words, and whether files, scripts and flags that they name exist.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

const program = /^(?:npx |npm (?:run |start|test)|node (?:[\w./-]+\.m?js)|moraine [a-z]|\.ci\/)/;
const own = ['--cpu', '--cuda', '--auto', '--force'];
/** Scripts of the root that hand their flags to a command of the CLI. */
const handsOn = { demo: 'demo', start: 'up', dev: 'up', setup: 'setup' };

/** The commands of a Markdown text: {at, words}, from backticks and from fenced and indented blocks of shell lines. */
export function commandsOf(text) {
  const found = [];
  const add = (at, line) => {
    if (program.test(line)) found.push({ at, words: wordsOf(line) });
  };
  for (const match of text.matchAll(/(?<!`)`([^`\n]+)`(?!`)/g)) add(match.index, match[1]);
  for (const block of text.matchAll(/^```(?:sh|bash|shell|console)?\n([\s\S]*?)^```/gm)) {
    const lines = block[1].replace(/\\\n/g, '  ');
    for (const line of lines.matchAll(/^ *(?:\$ )?(\S.*)$/gm)) add(block.index, line[1]);
  }
  for (const line of text.matchAll(/^(?: {4}|\t)(\S.*)$/gm)) add(line.index, line[1]);
  return found;
}

/** Words of one command: quotes bind, and a comment, a pipe or a redirection ends it. */
function wordsOf(line) {
  const words = [];
  for (const [, quoted, single, word] of line.matchAll(/"([^"]*)"|'([^']*)'?|(\S+)/g)) {
    if (word !== undefined && /^(#|\||&&|;|[<>])/.test(word)) break;
    words.push(quoted ?? single ?? word);
  }
  return words;
}

const isExample = (word) => /[<>{}$…*[\]|]/.test(word) || /^[A-Z_]+$/.test(word);
const flagsOf = (words) => words.filter((word) => /^--?[a-z]/.test(word)).map((word) => word.replace(/=.*/, ''));

/** Options of `moraine`, by command: from `moraine help --json` of the tree at `root`, or null where there is no command line. */
export function readCommands(root) {
  const bin = path.join(root, 'apps/cli/bin/moraine.mjs');
  if (!existsSync(bin)) return null;
  return JSON.parse(execFileSync(process.execPath, [bin, 'help', '--json'], { encoding: 'utf8' }));
}

/** What is wrong with one command of a document, one sentence each. */
export function commandProblems([first, ...rest], { root, folder, scripts, commands }) {
  const exists = (name) => [root, folder].some((base) => existsSync(path.join(base, name)));
  if (first === 'npm') return npmProblems(rest, { root, scripts, commands });
  if (first === 'moraine') return moraineProblems(rest, commands);
  if (first === 'node') return fileProblems(rest[0] ?? '', rest.slice(1), { root, exists });
  if (first !== 'npx') return exists(first) ? [] : [`names \`${first}\`, which does not exist`];
  const [tool, ...words] = rest;
  if (tool === 'moraine') return moraineProblems(words, commands);
  if (tool === 'tsx') return fileProblems(words[0] ?? '', words.slice(1), { root, exists });
  if (tool !== 'vitest') return [];
  const files = words.filter((word) => word !== 'run' && !word.startsWith('-') && !isExample(word));
  return files.filter((name) => !exists(name)).map((name) => `runs tests of \`${name}\`, which does not exist`);
}

function fileProblems(file, words, { root, exists }) {
  if (isExample(file)) return [];
  const source = file.replace(/(^|\/)dist\/(.*)\.js$/, '$1src/$2.ts');
  if (!exists(source)) return [`runs \`${file}\`, which does not exist`];
  return existsSync(path.join(root, source)) ? unknownFlags([source], flagsOf(words), root) : [];
}

/** Flags that no file of a script spells: as `--flag`, or as a key of its options. */
function unknownFlags(files, flags, root) {
  const text = files.map((file) => readFileSync(path.join(root, file), 'utf8')).join('\n');
  const isSpelled = (flag) => new RegExp(`${flag}(?![\\w-])|['"\\s{,]${flag.replace(/^-+/, '')}['"]?:`).test(text);
  return flags
    .filter((flag) => !isSpelled(flag))
    .map((flag) => `gives ${flag}, which ${files.join(', ')} does not know`);
}

function npmProblems(words, { root, scripts, commands }) {
  const [name = ''] = words[0] === 'run' ? words.slice(1) : words;
  const behind = words.indexOf('--');
  const flags = behind < 0 ? [] : flagsOf(words.slice(behind + 1));
  const command = scripts[name];
  if (flags.length === 0 || command === undefined || words.includes('-w') || name === 'test') return [];
  const target = handsOn[name];
  if (target !== undefined) return moraineProblems([target, ...flags.filter((flag) => !own.includes(flag))], commands);
  const files = command.split(/\s+/).filter((word) => /\.(ts|mjs)$/.test(word) && existsSync(path.join(root, word)));
  return files.length === 0 ? [] : unknownFlags(files, flags, root);
}

function moraineProblems(words, commands) {
  if (commands === null) return [];
  const [first = '', second = ''] = words;
  if (first.startsWith('-') || first === 'help' || isExample(first)) return [];
  const command = commands.find(({ name }) => name === first || name === `${first} ${second}`);
  if (command === undefined) {
    const isGroup = commands.some(({ name }) => name.startsWith(`${first} `)) && (second === '' || isExample(second));
    return isGroup ? [] : [`names \`moraine ${first}\`, but there is no such command`];
  }
  const known = new Set(['--help', '-h', ...command.options.map(({ name }) => `--${name}`)]);
  return flagsOf(words)
    .filter((flag) => !known.has(flag))
    .map((flag) => `gives ${flag}, which \`moraine ${command.name}\` does not know`);
}
