import { AppError, explain, nearest } from '@moraine/contract';
import { type Command, helpOf, readArguments } from './args.js';
import { version } from './paths.js';
import { print, printError } from './terminal.js';

interface Entry {
  summary: string;
  /** Loaded when it is wanted: printing two words must not load a database driver. */
  load?(): Promise<Command>;
  /** Instead of `load`: the commands below this word. */
  actions?: Record<string, Entry>;
}

const LOCAL: Record<string, Entry> = {
  train: {
    summary: 'Fine-tune a base on a file',
    load: async () => (await import('./local/train.js')).trainCommand,
  },
  eval: {
    summary: 'Score a base, with an adapter or without, on a file',
    load: async () => (await import('./local/eval.js')).evalCommand,
  },
  generate: {
    summary: 'Answer prompts with a base, with an adapter or without',
    load: async () => (await import('./local/generate.js')).generateCommand,
  },
  bench: {
    summary: 'Measure training steps: speed, memory, time to the first step, decoding',
    load: async () => (await import('./local/bench.js')).benchCommand,
  },
};

const COMMANDS: Record<string, Entry> = {
  up: {
    summary: 'Start the stack and keep it running until Ctrl-C: Postgres, Redis, API with dashboard, workers',
    load: async () => (await import('./commands/up.js')).upCommand,
  },
  demo: {
    summary: 'Start the stack and fine-tune the tiny base with LoRA and with two kinds of MoRA, to watch',
    load: async () => (await import('./commands/demo.js')).demoCommand,
  },
  env: {
    summary: 'Print the shell line that points any OpenAI client at the running stack',
    load: async () => (await import('./commands/env.js')).envCommand,
  },
  status: {
    summary: 'Say what runs: the stack, its parts, its workers',
    load: async () => (await import('./commands/status.js')).statusCommand,
  },
  login: {
    summary: 'Print a link that opens the dashboard in one browser, once',
    load: async () => (await import('./commands/login.js')).loginCommand,
  },
  models: {
    summary: 'Register base models and list what there is',
    load: async () => (await import('./commands/models.js')).modelsCommand,
  },
  runs: {
    summary: 'List, show, cancel and download fine-tuning runs, read their logs',
    load: async () => (await import('./commands/runs.js')).runsCommand,
  },
  setup: {
    summary: 'Install the training runtime (TensorFlow) and, where none is here, a Redis server',
    load: async () => (await import('./commands/setup.js')).setupCommand,
  },
  doctor: {
    summary: 'Say what this machine has for training and what to do about what is missing',
    load: async () => (await import('./commands/doctor.js')).doctorCommand,
  },
  local: {
    summary: 'Train, evaluate, generate and measure on this machine, without any service',
    actions: LOCAL,
  },
  migrate: {
    summary: 'Bring the database of DATABASE_URL up to date and print a root key (`up` does this by itself)',
    load: async () => (await import('./commands/migrate.js')).migrateCommand,
  },
};

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

/** Runs the command that `words` name among `entries`; `above` is what stands before them. Answers the exit status. */
async function run(above: string, entries: Record<string, Entry>, title: string, words: string[]): Promise<number> {
  const [name, ...rest] = words;
  if (name === undefined || isHelp(name)) {
    print(overview(above, entries, title));
    return name === undefined ? 2 : 0;
  }
  const { summary, load, actions } = find(above, entries, name);
  if (actions) return run(`${above} ${name}`, actions, summary, rest);
  const command = await load?.();
  if (!command) throw new Error(`the command ${name} has nothing to load`);
  if (rest.some(isHelp)) {
    print(helpOf(command, summary));
    return 0;
  }
  return command.run(readArguments(command, rest));
}

async function main(words: string[]): Promise<number> {
  const [first, ...rest] = words;
  if (first === '--version' || first === '-v') {
    print(version());
    return 0;
  }
  const asked = first === 'help' ? [...rest, '--help'] : words;
  return run('moraine', COMMANDS, `moraine ${version()}: self-hosted fine-tuning with LoRA, MoRA and full`, asked);
}

// A pager or terminal that goes away must not take the supervisor with it.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  printError(`moraine: ${explainAny(error)}`);
  process.exitCode = error instanceof AppError && error.code === 'invalid_request' ? 2 : 1;
}

/** Errors of the engine, which imports nothing of ours, carry their remedy in the same field. */
function explainAny(error: unknown): string {
  if (error instanceof AppError || !(error instanceof Error)) return explain(error);
  return 'hint' in error && typeof error.hint === 'string' ? `${error.message} ${error.hint}` : error.message;
}
