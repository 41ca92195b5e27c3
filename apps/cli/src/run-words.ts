import { AppError, explain, METHODS, nearest } from '@moraine/contract';
import { helpOf, readArguments } from './args.js';
import { COMMANDS, describeCommands, type Entry } from './catalogue.js';
import { version } from './paths.js';
import { print, printError } from './terminal.js';

const overview = (above: string, entries: Record<string, Entry>, title: string): string => {
  const rows = Object.entries(entries).map(([name, { summary }]) => `  ${name.padEnd(8)} ${summary}`);
  return `${title}\n\nCommands:\n${rows.join('\n')}\n\n\`${above} COMMAND --help\` shows what it takes.`;
};

function find(above: string, entries: Record<string, Entry>, name: string): Entry {
  const entry = Object.hasOwn(entries, name) ? entries[name] : undefined;
  if (entry) return entry;
  const names = Object.keys(entries);
  const near = nearest(name, names);
  throw new AppError('invalid_request', `${above} has no command '${name}'.`, {
    hint: near ? `Did you mean '${near}'?` : `Commands: ${names.join(', ')}.`,
  });
}

const isHelp = (word: string | undefined): boolean => word === '--help' || word === '-h';

/** Runs the command that `words` name among `entries`; `above` is the words before them. Returns the exit status. */
async function run(
  above: string,
  entries: Record<string, Entry>,
  title: string,
  words: readonly string[],
): Promise<number> {
  const [name, ...rest] = words;
  if (name === undefined || isHelp(name)) {
    print(overview(above, entries, title));
    return name === undefined ? 2 : 0;
  }
  const { summary, load, actions } = find(above, entries, name);
  if (actions) return run(`${above} ${name}`, actions, summary, rest);
  const command = await load?.();
  if (!command) throw new AppError('internal', `The command ${name} has nothing to load.`);
  if (rest.some(isHelp)) {
    print(helpOf(command, summary));
    return 0;
  }
  return command.run(readArguments(command, rest));
}

/** Picks the command that the words name and runs it. Returns the exit status. */
async function runCommand(words: readonly string[]): Promise<number> {
  const [first, ...rest] = words;
  if (first === '--version' || first === '-v') {
    print(version());
    return 0;
  }
  if (first === 'help' && rest.includes('--json')) {
    print(JSON.stringify(await describeCommands()));
    return 0;
  }
  const asked = first === 'help' ? [...rest, '--help'] : words;
  return run(
    'moraine',
    COMMANDS,
    `moraine ${version()}: self-hosted fine-tuning, ${METHODS.map(({ name }) => name).join(', ')}`,
    asked,
  );
}

/** Runs a command line and says what went wrong. Returns the exit status: 2 where the words are at fault, 1 for every other error. */
export async function runWords(words: readonly string[]): Promise<number> {
  try {
    return await runCommand(words);
  } catch (error) {
    printError(`moraine: ${explainAny(error)}`);
    return error instanceof AppError && error.code === 'invalid_request' ? 2 : 1;
  }
}

/** Errors of the engine, which does not know `AppError`, carry their remedy in the same field. */
function explainAny(error: unknown): string {
  if (error instanceof AppError || !(error instanceof Error)) return explain(error);
  return 'hint' in error && typeof error.hint === 'string' ? `${error.message} ${error.hint}` : error.message;
}
