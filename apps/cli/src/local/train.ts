import { randomInt } from 'node:crypto';
import path from 'node:path';
import { evaluationFilesOf, type RunConfig, type StopReason, type TrainSpec } from '@moraine/contract';
import { adviseMode, totalParameters } from '@moraine/contract/plan';
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
  forms: ['--base DIR --data FILE --out DIR [--config FILE] [--valid FILE]', '--resume --out DIR'],
  options: {
    base: BASE_OPTION,
    data: { type: 'string', value: 'FILE', help: 'JSONL rows to train on: chat, prompt and completion, or text.' },
    valid: { type: 'string', value: 'FILE', help: 'JSONL rows for validation loss and accuracy.' },
    out: { type: 'string', value: 'DIR', help: 'Where adapter, merged model, checkpoints and metrics.jsonl go.' },
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
    const evaluationFiles = evaluationFilesOf(local.request).map(({ file_id }) => path.resolve(file_id));
    const plan = {
      ...local,
      baseDir: base,
      baseName: path.basename(base),
      trainingFile: data,
      validates: valid !== null,
      otherFiles: [...(valid === null ? [] : [valid]), ...evaluationFiles],
      seed: local.request.seed ?? stored?.config.seed ?? randomInt(2 ** 31),
      templateDate: stored?.config.template_date,
    };
    if (args.options['dry-run'] || local.request.dry_run) {
      const { config, warnings } = await rehearseRun(plan);
      for (const warning of warnings) printError(warning);
      const { config: model, weights } = loadBase(base);
      await checkWeights(weights);
      const advice = adviseMode(config, totalParameters(model), device().bfloat16);
      if (advice) printError(advice.message);
      print(JSON.stringify(config, null, args.options.json ? 0 : 2));
      return 0;
    }
    const config = await planRun(plan);
    return train({ args, local, config, stored, base, data, valid, evaluationFiles, out });
  },
};

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
}

async function train({ args, local, config, stored, base, data, valid, evaluationFiles, out }: Training) {
  const checkpoint = stored ? checkpointsIn(out).at(-1) : undefined;
  if (stored && checkpoint === undefined) printError('There is no checkpoint yet; the run starts anew.');
  if (!stored) writeStoredRun(out, { format: 1, base, data, valid, body: local.body, config });
  const spec: TrainSpec = {
    kind: 'train',
    taskId: 'local',
    attempt: 1,
    config,
    baseDir: base,
    // Whoever reads the adapter finds its base at this path.
    baseName: base,
    trainingFile: data,
    validationFile: valid,
    evaluationFiles: evaluationFiles.map((file) => ({ id: file, name: path.basename(file), path: file })),
    outDir: out,
    resumeFrom: checkpoint ?? null,
    bestFrom: checkpoint === undefined ? null : bestOf(checkpoint),
    forceMode: args.options['force-mode'] === true,
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
