import { randomInt } from 'node:crypto';
import path from 'node:path';
import { AppError, evaluationFilesOf, type RunConfig, type StopReason, type TrainSpec } from '@moraine/contract';
import { adviseMode, mixedFilesOf, totalParameters } from '@moraine/contract/plan';
import { type Arguments, type Command, noMoreThan } from '../args.js';
import { REQUEST_OPTIONS } from '../request-options.js';
import { print, printError } from '../terminal.js';
import { type LocalConfig, readConfig, readConfigOn } from './config.js';
import { BASE_OPTION, JSON_OPTION, neededPath, pathOf } from './options.js';
import {
  bestOf,
  checkpointsIn,
  metricsFile,
  readStoredRun,
  refuseUsedFolder,
  type StoredRun,
  stepOf,
  writeStoredRun,
} from './out-folder.js';
import { reportTraining } from './training-report.js';

export const trainCommand: Command = {
  name: 'local train',
  forms: ['--base DIR --data FILE --out DIR [--from DIR] [--config FILE] [--valid FILE]', '--resume --out DIR'],
  options: {
    base: BASE_OPTION,
    data: { type: 'string', value: 'FILE', help: 'JSONL rows to train on: chat, prompt and completion, or text.' },
    valid: { type: 'string', value: 'FILE', help: 'JSONL rows for validation loss and accuracy.' },
    out: { type: 'string', value: 'DIR', help: 'Where adapter, merged model, checkpoints and metrics.jsonl go.' },
    from: {
      type: 'string',
      value: 'DIR',
      help: "Start from an adapter: PEFT's layout, one of `local train`, or a checkpoint; its method is the run's.",
    },
    ...REQUEST_OPTIONS,
    resume: { type: 'boolean', help: 'Go on from the last checkpoint in --out.' },
    'force-mode': { type: 'boolean', help: 'Go on in another mode than the one that the run began with.' },
    'dry-run': { type: 'boolean', help: 'Check everything and print the whole configuration; train nothing.' },
    json: JSON_OPTION,
  },
  run: async (args) => {
    noMoreThan(args, 0, trainCommand);
    const out = neededPath(args, 'out', trainCommand);
    const stored = args.options.resume ? readStoredRun(out) : null;
    const base = pathOf(args, 'base') ?? stored?.base ?? neededPath(args, 'base', trainCommand);
    const data = pathOf(args, 'data') ?? stored?.data ?? neededPath(args, 'data', trainCommand);
    const valid = pathOf(args, 'valid') ?? stored?.valid ?? null;
    const file = pathOf(args, 'config');
    const local = stored && file === undefined ? readConfigOn(stored.body, args) : readConfig(file, args);
    if (!stored && args.options['dry-run'] !== true) refuseUsedFolder(out);
    for (const key of local.ignored) printError(`'${key}' has no meaning without the service; it is left out.`);

    const { checkWeights, device, loadBase, planRun, rehearseRun } = await import('@moraine/recipes');
    const start = await startOf(args, base, stored);
    const evaluationFiles = evaluationFilesOf(local.request).map(({ file_id }) => path.resolve(file_id));
    const request = withWholePaths(local.request);
    const mixed = mixedFilesOf(request, data)?.slice(1) ?? [];
    const plan = {
      request,
      baseDir: base,
      baseName: path.basename(base),
      trainingFile: data,
      mixFiles: mixed.map(({ file_id }) => file_id),
      validates: valid !== null,
      otherFiles: [...(valid === null ? [] : [valid]), ...evaluationFiles],
      seed: local.request.seed ?? stored?.config.seed ?? randomInt(2 ** 31),
      templateDate: stored?.config.template_date,
      start,
    };
    if (args.options['dry-run'] || local.request.dry_run) {
      const { config, warnings, shares } = await rehearseRun(plan);
      for (const sentence of [...shares, ...warnings]) printError(sentence);
      const { config: model, weights } = loadBase(base);
      await checkWeights(weights);
      const advice = adviseMode(config, totalParameters(model), device().bfloat16);
      if (advice) printError(advice.message);
      print(JSON.stringify(config, null, args.options.json ? 0 : 2));
      return 0;
    }
    const config = await planRun(plan);
    refuseOtherStart(config, stored, out);
    const from = start?.dir ?? null;
    return train({ args, local, config, stored, base, data, valid, evaluationFiles, out, from });
  },
};

/** What the run starts from: what `--from` names, or what the run that goes on started from; undefined where that is nothing. */
async function startOf(args: Arguments, base: string, stored: StoredRun | null) {
  const from = pathOf(args, 'from');
  if (from !== undefined) {
    const { loadBase, readStart } = await import('@moraine/recipes');
    return readStart(from, loadBase(base));
  }
  const { start, adapter } = stored?.config ?? {};
  return start && adapter && { ...start, adapter, dir: stored?.from ?? '' };
}

function refuseOtherStart({ start }: RunConfig, stored: StoredRun | null, out: string): void {
  if (stored === null || stored.config.start?.sha256 === start?.sha256) return;
  const before = stored.config.start?.model ?? 'a fresh adapter';
  throw new AppError('checkpoint_mismatch', `The run in ${out} started from ${before}, not from ${start?.model}.`, {
    param: 'from',
    hint: 'Leave --from out, or name another folder with --out for a new run.',
  });
}

/** The request with the files of its mix as whole paths, which are their ids here. */
const withWholePaths = (request: LocalConfig['request']): LocalConfig['request'] =>
  request.data_mix
    ? {
        ...request,
        data_mix: request.data_mix.map((entry) => ({ ...entry, file_id: path.resolve(entry.file_id) })),
      }
    : request;

interface Training {
  args: Arguments;
  local: LocalConfig;
  config: RunConfig;
  stored: StoredRun | null;
  base: string;
  data: string;
  valid: string | null;
  evaluationFiles: string[];
  out: string;
  /** The folder that it starts from; null: a fresh adapter. */
  from: string | null;
}

async function train({ args, local, config, stored, base, data, valid, evaluationFiles, out, from }: Training) {
  const checkpoint = stored ? checkpointsIn(out).at(-1) : undefined;
  if (stored && checkpoint === undefined) printError('There is no checkpoint yet; the run starts anew.');
  // A resume may be asked for from another folder.
  const mix = config.data_mix && { data_mix: config.data_mix };
  const body = { ...local.body, ...mix };
  if (!stored) writeStoredRun(out, { format: 1, base, data, valid, from, body, config });
  const spec: TrainSpec = {
    kind: 'train',
    taskId: 'local',
    attempt: 1,
    config,
    baseDir: base,
    // Whoever reads the adapter finds its base at this path.
    baseName: base,
    trainingFile: data,
    mixFiles: (config.data_mix ?? [])
      .slice(1)
      .map(({ file_id: file }) => ({ id: file, name: path.basename(file), path: file })),
    validationFile: valid,
    evaluationFiles: evaluationFiles.map((file) => ({ id: file, name: path.basename(file), path: file })),
    outDir: out,
    startFrom: from,
    resumeFrom: checkpoint ?? null,
    bestFrom: checkpoint === undefined ? null : bestOf(checkpoint),
    forceMode: args.options['force-mode'] === true,
    keepsMerged: true,
    threads: 0,
  };
  const addMetrics = metricsFile(out, checkpoint === undefined ? 0 : stepOf(checkpoint));
  const isQuiet = args.options.json === true;
  const report = reportTraining(config, isQuiet, out, addMetrics);
  let stop: StopReason | null = null;
  const onSignal = (): void => {
    if (stop !== null) process.exit(130);
    stop = 'drain';
    printError('\nStopping after this step; a checkpoint is written. Once more ends at once.');
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  try {
    const { runSft } = await import('@moraine/recipes');
    await runSft(spec, report.hear, { stopRequested: () => stop });
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
    report.clear();
  }
  return report.finish();
}
