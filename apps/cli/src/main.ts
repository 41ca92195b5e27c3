import { AppError, explain, nearest } from '@moraine/contract';
import { type Command, helpOf, readArguments } from './args.js';
import { demoCommand } from './commands/demo.js';
import { doctorCommand } from './commands/doctor.js';
import { envCommand } from './commands/env.js';
import { loginCommand } from './commands/login.js';
import { migrateCommand } from './commands/migrate.js';
import { modelsCommand } from './commands/models.js';
import { runsCommand } from './commands/runs.js';
import { setupCommand } from './commands/setup.js';
import { statusCommand } from './commands/status.js';
import { upCommand } from './commands/up.js';
import { version } from './paths.js';
import { print, printError } from './terminal.js';

const COMMANDS: Command[] = [
  upCommand,
  demoCommand,
  envCommand,
  statusCommand,
  loginCommand,
  modelsCommand,
  runsCommand,
  setupCommand,
  doctorCommand,
  migrateCommand,
];

const overview = (): string => {
  const rows = COMMANDS.map(({ name, summary }) => `  ${name.padEnd(8)} ${summary}`).join('\n');
  return `moraine ${version()}: self-hosted fine-tuning with LoRA, MoRA and full\n\nCommands:\n${rows}\n\n\`moraine COMMAND --help\` shows what it takes.`;
};

function find(name: string): Command {
  const command = COMMANDS.find((candidate) => candidate.name === name);
  if (command) return command;
  const names = COMMANDS.map((candidate) => candidate.name);
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
  const command = find(name === 'help' ? (rest[0] ?? '') : name);
  if (name === 'help' || rest.includes('--help') || rest.includes('-h')) {
    print(helpOf(command));
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
