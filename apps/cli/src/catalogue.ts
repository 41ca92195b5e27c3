import type { Command } from './args.js';

export interface Entry {
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
  serve: {
    summary: 'Answer over HTTP as OpenAI’s API does, with a base and the adapters of it that are named',
    load: async () => (await import('./local/serve.js')).serveCommand,
  },
  lab: {
    summary:
      'Measure how an adapter, a checkpoint or a tuned model changes the weights of its base: ranks, norms, directions',
    load: async () => (await import('./local/lab.js')).labCommand,
  },
  canaries: {
    summary: 'Plant random pairs among rows, and measure how well a model that was trained on them knows them',
    load: async () => (await import('./local/canaries.js')).canariesCommand,
  },
  export: {
    summary:
      'Write an adapter in another form: merged with its base, for PEFT, approximated by a rank, at a share of its update',
    load: async () => (await import('./local/export.js')).exportCommand,
  },
  merge: {
    summary: 'Write base and adapter as one model (`local export --format merged`)',
    load: async () => (await import('./local/export.js')).mergeCommand,
  },
  convert: {
    summary: 'Write the rows of another tool (ShareGPT, Alpaca, Dolly) as rows to train on',
    load: async () => (await import('./local/convert.js')).convertCommand,
  },
  split: {
    summary: 'Divide rows over files to train on, to choose by and to judge by',
    load: async () => (await import('./local/split.js')).splitCommand,
  },
  bench: {
    summary: 'Measure training steps: speed, memory, time to the first step, decoding',
    load: async () => (await import('./local/bench.js')).benchCommand,
  },
};

export const COMMANDS: Record<string, Entry> = {
  up: {
    summary: 'Start the stack and keep it running until Ctrl-C: Postgres, Redis, API with dashboard, workers',
    load: async () => (await import('./commands/up.js')).upCommand,
  },
  demo: {
    summary: 'Start the stack and fine-tune the tiny base by three methods, to watch',
    load: async () => (await import('./commands/demo.js')).demoCommand,
  },
  env: {
    summary: 'Print the shell line that points any OpenAI client at the running stack',
    load: async () => (await import('./commands/env.js')).envCommand,
  },
  worker: {
    summary: 'Run one more worker, on the servers of a stack here or of your own',
    load: async () => (await import('./commands/worker.js')).workerCommand,
  },
  serve: {
    summary:
      'Run a process that answers for a base and what was trained on it, on the servers of a stack here or of your own',
    load: async () => (await import('./commands/serve.js')).serveCommand,
  },
  chat: {
    summary: 'Ask a base, an adapter or a checkpoint, and print its answer as it is written',
    load: async () => (await import('./commands/chat.js')).chatCommand,
  },
  adapters: {
    summary: 'List what was trained and is loaded to answer, and where; pin, unpin and unload it',
    load: async () => (await import('./commands/adapters.js')).adaptersCommand,
  },
  status: {
    summary: 'Say what runs: the stack, its parts, its workers',
    load: async () => (await import('./commands/status.js')).statusCommand,
  },
  login: {
    summary: 'Print a link that opens the dashboard in one browser, once',
    load: async () => (await import('./commands/login.js')).loginCommand,
  },
  logout: {
    summary: 'Sign every browser out',
    load: async () => (await import('./commands/logout.js')).logoutCommand,
  },
  models: {
    summary: 'Register base models, from a folder or a hub, show one and list what there is',
    load: async () => (await import('./commands/models.js')).modelsCommand,
  },
  files: {
    summary:
      'Upload files of rows (large ones in parts), list, download and delete them, show what is wrong with one, or how a base reads it',
    load: async () => (await import('./commands/files.js')).filesCommand,
  },
  runs: {
    summary:
      'Create, watch, list, show, pause, resume, cancel, verify and download fine-tuning runs, read what they measured and said',
    load: async () => (await import('./commands/runs.js')).runsCommand,
  },
  import: {
    summary: 'Make a run of a fine-tuning job that was saved from OpenAI, Azure, Together, Fireworks or Mistral',
    load: async () => (await import('./commands/import.js')).importCommand,
  },
  compare: {
    summary: 'Set a model here beside the saved answers of another on the same rows: a verdict, and a page to show',
    load: async () => (await import('./commands/compare.js')).compareCommand,
  },
  evaluations: {
    summary: 'Ask a model the items of a suite on the stack, watch, list and show evaluations, read items, compare two',
    load: async () => (await import('./commands/evaluations.js')).evaluationsCommand,
  },
  eval: {
    summary: 'Ask a model the items of a suite on the stack and wait for the figures (`evaluations create --watch`)',
    load: async () => (await import('./commands/eval.js')).evalCommand,
  },
  analyses: {
    summary:
      'Measure on the stack how a model’s weights were changed, or how well it knows planted canaries; watch, list, show',
    load: async () => (await import('./commands/analyses.js')).analysesCommand,
  },
  experiments: {
    summary:
      'Compare methods under one budget: run a file of arms, watch it, let it grow, pause, resume, cancel and clone it',
    load: async () => (await import('./commands/experiments.js')).experimentsCommand,
  },
  tune: {
    summary:
      'Say what to use for a file of rows: method, rate and share of the update, or that nothing is better than the base',
    load: async () => (await import('./commands/tune.js')).tuneCommand,
  },
  mcp: {
    summary:
      'Offer runs, models, comparisons and chat as tools of the Model Context Protocol, over standard input and output',
    load: async () => (await import('./commands/mcp.js')).mcpCommand,
  },
  queue: {
    summary: 'List what waits for a worker: its place, since when and why',
    load: async () => (await import('./commands/queue.js')).queueCommand,
  },
  pools: {
    summary: 'List pools: their workers, what waits and runs there, how many workers are wanted',
    load: async () => (await import('./commands/pools.js')).poolsCommand,
  },
  workers: {
    summary: 'List workers: what they run on, what they do and when they were last heard of',
    load: async () => (await import('./commands/workers.js')).workersCommand,
  },
  webhooks: {
    summary: 'Have the ends of runs posted to an address, signed; test it, see what was sent, send it again',
    load: async () => (await import('./commands/webhooks.js')).webhooksCommand,
  },
  estimate: {
    summary: 'Say how much memory and time a run would take, before it starts',
    load: async () => (await import('./commands/estimate.js')).estimateCommand,
  },
  setup: {
    summary: 'Install the training runtime (TensorFlow) and, where none is here, a Redis server',
    load: async () => (await import('./commands/setup.js')).setupCommand,
  },
  doctor: {
    summary: 'Say what this machine has for training and what to do about what is missing',
    load: async () => (await import('./commands/doctor.js')).doctorCommand,
  },
  bundle: {
    summary: 'Make one folder of files that brings Moraine to a machine without a network',
    load: async () => (await import('./commands/bundle.js')).bundleCommand,
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

/** What a command is called by, takes and does, for programs: `moraine help --json`. */
export interface Described {
  name: string;
  summary: string;
  forms: string[];
  examples?: string[];
  options: { name: string; short?: string; value?: string; help: string }[];
}

/** Every command that does something, in the order of the help; `local train` is one. */
export async function describeCommands(entries = COMMANDS): Promise<Described[]> {
  const described: Described[] = [];
  for (const { summary, load, actions } of Object.values(entries)) {
    if (actions) described.push(...(await describeCommands(actions)));
    const command = await load?.();
    if (!command) continue;
    const { name, forms, examples } = command;
    const options = Object.entries(command.options).map(([name, { type: _, ...rest }]) => ({ name, ...rest }));
    described.push({ name, summary, forms, ...(examples ? { examples } : {}), options });
  }
  return described;
}
