import { EXPORT_FORMATS, LOW_RANK, methodCoverage, methodLabel } from '@moraine/contract';
import { type Arguments, type Command, DATA_OPTION, noMoreThan, required, runAction } from '../args.js';
import { connect } from '../connect.js';
import { reportLines } from '../export-view.js';
import { PAGE_OPTIONS } from '../pages.js';
import { duration, labelled, paint, print } from '../terminal.js';
import { CREATE_OPTIONS, createRun } from './runs-create.js';
import { downloadRun } from './runs-download.js';
import { listCheckpoints, listEvaluations, listEvents, listLogs, listMetrics } from './runs-lists.js';
import { LIST_OPTIONS, listRuns, statusOf } from './runs-ls.js';
import { verifyRun } from './runs-verify.js';
import { watchUntilEnd } from './runs-watch.js';

export const runsCommand: Command = {
  name: 'runs',
  forms: [
    'create --model NAME --file FILE [--config FILE] [--method NAME] [--watch] [--json]',
    'watch RUN [--json]',
    'ls [--status NAME] [--metadata PAIR]... [--search TERMS] [--sort NAME] [--deleted] [--limit N | --all] [--after ID] [--json]',
    'show RUN [--json]',
    'pause RUN [--json]',
    'resume RUN [--json]',
    'cancel RUN [--json]',
    'verify RUN [--json]',
    'rm RUN... [--json]',
    'restore RUN [--json]',
    'events RUN [--limit N | --all] [--after ID] [--json]',
    'checkpoints RUN [--limit N | --all] [--after ID] [--json]',
    'evaluations RUN [--json]',
    'metrics RUN [--names NAMES] [--from STEP] [--to STEP] [--buckets N] [--json]',
    'logs RUN [--attempt N] [--json]',
    `download RUN [--format ${EXPORT_FORMATS.join('|')}] [--lambda L] [--rank R] [--out DIR] [--json]`,
  ],
  examples: [
    'create --model moraine-tiny --file rows.jsonl --watch',
    'ls --status running --metadata team=blue --sort -loss',
    'ls --search lr<1e-3 --all --json',
    'pause ftjob-4f2k',
    'rm ftjob-4f2k ftjob-9x1c',
    'restore ftjob-4f2k',
    'events ftjob-4f2k --limit 5',
    'metrics ftjob-4f2k --names train_loss --from 1000 --json',
    'logs ftjob-4f2k --attempt 2',
    'download ftjob-4f2k --format peft --out adapter',
  ],
  options: {
    data: DATA_OPTION,
    json: { type: 'boolean', help: 'What is printed, as the API describes it, as JSON.' },
    ...PAGE_OPTIONS,
    ...LIST_OPTIONS,
    names: { type: 'string', value: 'NAMES', help: 'Metrics to read, with commas between; default all.' },
    from: { type: 'string', value: 'STEP', help: 'First step of the metrics.' },
    to: { type: 'string', value: 'STEP', help: 'Last step of the metrics.' },
    buckets: { type: 'string', value: 'N', help: 'Points of each metric at most; default 1000.' },
    attempt: { type: 'string', value: 'N', help: 'Log lines of this attempt only.' },
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
      ls,
      show,
      pause: (given) => change(given, 'pauseRun'),
      resume: (given) => change(given, 'resumeRun'),
      cancel: (given) => change(given, 'cancelRun'),
      rm: remove,
      restore: (given) => change(given, 'restoreRun'),
      verify: (given) => verifyRun(given, params(given).id),
      events: (given) => listEvents(given, params(given).id),
      checkpoints: (given) => listCheckpoints(given, params(given).id),
      evaluations: (given) => listEvaluations(given, params(given).id),
      metrics: (given) => listMetrics(given, params(given).id),
      logs: (given) => listLogs(given, params(given).id),
      download: (given) => downloadRun(given, params(given).id),
    }),
};

const params = (args: Arguments): { id: string } => {
  const id = required(args, 1, 'The id of the run', runsCommand);
  noMoreThan(args, 2, runsCommand);
  return { id };
};

/** One after the other, each said as it is done; the first that is refused ends it. */
async function remove(args: Arguments): Promise<number> {
  required(args, 1, 'The id of the run', runsCommand);
  const client = connect(args);
  for (const id of args.positionals.slice(1)) {
    const deleted = await client.call('deleteRun', { params: { id } });
    const restore = deleted.restorable_until === null ? '' : ` Take it back with: moraine runs restore ${id}`;
    print(args.options.json ? JSON.stringify(deleted) : deleted.message + restore);
  }
  return 0;
}

function ls(args: Arguments): Promise<number> {
  noMoreThan(args, 1, runsCommand);
  return listRuns(args);
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

async function change(args: Arguments, verb: 'pauseRun' | 'resumeRun' | 'cancelRun' | 'restoreRun'): Promise<number> {
  const run = await connect(args).call(verb, { params: params(args) });
  print(args.options.json ? JSON.stringify(run) : `${run.id}: ${statusOf(run)}`);
  return 0;
}
