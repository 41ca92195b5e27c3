import { EXPORT_FORMATS, LOW_RANK, methodCoverage, methodLabel, type RunObject } from '@moraine/contract';
import { type Arguments, type Command, DATA_OPTION, integer, noMoreThan, required, runAction } from '../args.js';
import { connect } from '../connect.js';
import { reportLines } from '../export-view.js';
import { duration, labelled, paint, print, table } from '../terminal.js';
import { CREATE_OPTIONS, createRun } from './runs-create.js';
import { downloadRun } from './runs-download.js';
import { listCheckpoints, listEvaluations, listEvents, listMetrics } from './runs-lists.js';
import { verifyRun } from './runs-verify.js';
import { watchUntilEnd } from './runs-watch.js';

export const runsCommand: Command = {
  name: 'runs',
  forms: [
    'create --model NAME --file FILE [--config FILE] [--method NAME] [--watch]',
    'watch RUN',
    'ls [--limit N] [--json]',
    'show RUN [--json]',
    'pause RUN [--json]',
    'resume RUN [--json]',
    'cancel RUN [--json]',
    'verify RUN',
    'events RUN [--limit N] [--json]',
    'checkpoints RUN [--limit N] [--json]',
    'evaluations RUN [--json]',
    'metrics RUN [--json]',
    'logs RUN',
    `download RUN [--format ${EXPORT_FORMATS.join('|')}] [--lambda L] [--rank R] [--out DIR]`,
  ],
  examples: [
    'create --model moraine-tiny --file rows.jsonl --watch',
    'ls --limit 5 --json',
    'pause ftjob-4f2k',
    'events ftjob-4f2k --limit 5',
    'download ftjob-4f2k --format peft --out adapter',
  ],
  options: {
    data: DATA_OPTION,
    json: { type: 'boolean', help: 'What is printed, as the API describes it, as JSON.' },
    limit: { type: 'string', value: 'N', help: 'How many to list, the newest; default 20.' },
    ...CREATE_OPTIONS,
    format: {
      type: 'string',
      value: 'NAME',
      help: `What to download: native (default), peft (exactly equal, as PEFT reads it), merged (a whole model), ${LOW_RANK} (of --rank, approximate), gguf (a whole model in float16 for llama.cpp).`,
    },
    lambda: {
      type: 'string',
      value: 'L',
      help: 'Share of the update that is downloaded, 0 to 1; default 1, all of it.',
    },
    'allow-error': {
      type: 'string',
      value: 'E',
      help: `Share of the update that a download in format ${LOW_RANK} may leave out, 0 to 1; default 0.05.`,
    },
    out: {
      type: 'string',
      value: 'DIR',
      help: 'Folder to download into; default <run>-<format> here. A name that ends in .tar keeps the tar.',
    },
  },
  run: (args) =>
    runAction(args, runsCommand, {
      create: (given) => createRun(given, runsCommand),
      watch: (given) => watchUntilEnd(given, params(given).id),
      ls: list,
      show,
      pause: (given) => change(given, 'pauseRun'),
      resume: (given) => change(given, 'resumeRun'),
      cancel: (given) => change(given, 'cancelRun'),
      verify: (given) => verifyRun(given, params(given).id),
      events: (given) => listEvents(given, params(given).id, limitOf(given)),
      checkpoints: (given) => listCheckpoints(given, params(given).id, limitOf(given)),
      evaluations: (given) => listEvaluations(given, params(given).id),
      metrics: (given) => listMetrics(given, params(given).id),
      logs,
      download: (given) => downloadRun(given, params(given).id),
    }),
};

const limitOf = (args: Arguments): number => integer(args, 'limit', 1, 100) ?? 20;

const params = (args: Arguments): { id: string } => {
  const id = required(args, 1, 'The id of the run', runsCommand);
  noMoreThan(args, 2, runsCommand);
  return { id };
};

const COLOUR = { succeeded: 'green', failed: 'red', cancelled: 'yellow', running: 'cyan' } as const;
const statusOf = ({ status, state }: RunObject): string => {
  const words = state ? `${status} (${state})` : status;
  return status in COLOUR ? paint(COLOUR[status as keyof typeof COLOUR], words) : words;
};
async function list(args: Arguments): Promise<number> {
  noMoreThan(args, 1, runsCommand);
  const { data } = await connect(args).call('listRuns', { query: { limit: limitOf(args) } });
  if (args.options.json) {
    print(JSON.stringify(data));
    return 0;
  }
  if (data.length === 0) {
    print('No runs yet.');
    return 0;
  }
  print(
    table(
      [
        { title: 'RUN' },
        { title: 'STATUS' },
        { title: 'MODEL' },
        { title: 'METHOD' },
        { title: 'STEP', align: 'right' },
        { title: 'LOSS', align: 'right' },
        { title: 'SUFFIX' },
      ],
      data.map((run) => [
        run.id,
        statusOf(run),
        run.model,
        methodLabel(run.config.adapter),
        `${run.progress.step}/${run.progress.steps}`,
        run.progress.train_loss?.toFixed(4) ?? '',
        run.suffix ?? '',
      ]),
    ),
  );
  return 0;
}

async function show(args: Arguments): Promise<number> {
  const client = connect(args);
  const run = await client.call('getRun', { params: params(args) });
  if (args.options.json) {
    print(JSON.stringify(run));
    return 0;
  }
  const { config, progress } = run;
  const rows: [string, string | null][] = [
    ['run', run.id],
    ['status', statusOf(run)],
    ['why', run.state_reason?.message ?? run.error?.message ?? null],
    ['model', run.model],
    ['trained model', run.fine_tuned_model],
    ['result', run.result_step === null ? null : `of step ${run.result_step}`],
    [
      'method',
      `${methodLabel(run.config.adapter)}, ${config.trainable_parameters.toLocaleString('en')} trainable parameters`,
    ],
    ['trains', methodCoverage(run.config.adapter)],
    [
      'learning rate',
      `${config.optimizer.learning_rate} (${config.schedule.type}, ${config.schedule.warmup_steps} steps of warm-up)`,
    ],
    ['step', `${progress.step} of ${progress.steps}, ${config.batch_size} rows each`],
    ['loss', progress.train_loss?.toFixed(4) ?? null],
    ['tokens', run.trained_tokens?.toLocaleString('en') ?? null],
    ['time left', progress.seconds_remaining === null ? null : duration(progress.seconds_remaining)],
    [
      'attempts',
      run.attempts.map(({ attempt, status, cause }) => `${attempt} ${status}${cause ? ` (${cause})` : ''}`).join(', '),
    ],
    ['resume', run.resume_check && `${run.resume_check.status}: ${run.resume_check.message}`],
    ['downloads', run.exports.join(', ')],
    ...run.downloads.flatMap((one) => reportLines(one).map((line): [string, string] => ['', `${one.format}: ${line}`])),
  ];
  print(labelled(rows));
  const { data } = await client.call('listRunEvents', { params: { id: run.id }, query: { limit: 20 } });
  if (data.length > 0) print();
  for (const event of data.toReversed())
    print(`${paint('dim', new Date(event.created_at * 1000).toISOString().slice(11, 19))} ${event.message}`);
  return 0;
}

async function change(args: Arguments, verb: 'pauseRun' | 'resumeRun' | 'cancelRun'): Promise<number> {
  const run = await connect(args).call(verb, { params: params(args) });
  print(args.options.json ? JSON.stringify(run) : `${run.id}: ${statusOf(run)}`);
  return 0;
}

async function logs(args: Arguments): Promise<number> {
  const client = connect(args);
  const query = { after: 0, limit: 1000 };
  for (let more = true; more; ) {
    const page = await client.call('getRunLogs', { params: params(args), query });
    for (const line of page.data)
      print(
        `${new Date(line.at * 1000).toISOString()} ${String(line.attempt)} ${line.level.padEnd(5)} ${line.message}`,
      );
    query.after = page.data.at(-1)?.seq ?? query.after;
    more = page.has_more && page.data.length > 0;
  }
  return 0;
}
