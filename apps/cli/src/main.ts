import { AppError, explain, nearest } from '@moraine/contract';
import { type Command, helpOf, readArguments } from './args.js';
import { version } from './paths.js';
import { print, printError } from './terminal.js';

interface Entry {
  summary: string;
  /** Loaded when it is wanted: printing two words must not load a database driver. */
  load(): Promise<Command>;
}

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
  migrate: {
    summary: 'Bring the database of DATABASE_URL up to date and print a root key (`up` does this by itself)',
    load: async () => (await import('./commands/migrate.js')).migrateCommand,
  },
};

const overview = (): string => {
  const rows = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(8)} ${summary}`);
  const title = `moraine ${version()}: self-hosted fine-tuning with LoRA, MoRA and full`;
  return `${title}\n\nCommands:\n${rows.join('\n')}\n\n\`moraine COMMAND --help\` shows what it takes.`;
};

function find(name: string): Entry {
  const entry = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (entry) return entry;
  const names = Object.keys(COMMANDS);
  const near = nearest(name, names);
  throw new AppError('invalid_request', `moraine has no command '${name}'.`, {
    hint: near ? `Did you mean '${near}'?` : `Commands: ${names.join(', ')}.`,
  });
}

async function main(words: string[]): Promise<number> {
  const [name, ...rest] = words;
  if (name === undefined || name === '--help' || name === '-h' || (name === 'help' && rest.length === 0)) {
    print(overview());
    return name === undefined ? 2 : 0;
  }
  if (name === '--version' || name === '-v') {
    print(version());
    return 0;
  }
  const entry = find(name === 'help' ? (rest[0] ?? '') : name);
  const command = await entry.load();
  if (name === 'help' || rest.includes('--help') || rest.includes('-h')) {
    print(helpOf(command, entry.summary));
    return 0;
  }
  return command.run(readArguments(command, rest));
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
