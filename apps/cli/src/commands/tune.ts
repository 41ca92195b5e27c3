import { createHash } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AppError, isTerminal } from '@moraine/contract';
import type { Client } from '@moraine/contract/client';
import type { ExperimentRequest, ExperimentVerdict } from '@moraine/contract/experiments';
import { type Arguments, type Command, DATA_OPTION, noMoreThan, number, required, text } from '../args.js';
import { connect } from '../connect.js';
import { uploader } from '../experiment-file.js';
import { planView } from '../experiment-view.js';
import { dataDirFor } from '../paths.js';
import { SHIPPED_BASE } from '../register-base.js';
import { print } from '../terminal.js';
import {
  ARM_NAMES,
  parseBudget,
  SIZES,
  STEPS_LEAST,
  stepsFor,
  stepsMost,
  type TuneInput,
  type TuneSize,
  tooShort,
  tuneRequest,
} from '../tune/plan.js';
import { prepareRows } from '../tune/rows.js';
import { timeArms } from '../tune/time-arms.js';
import { verdictView } from '../tune/verdict-view.js';
import { watchExperiment } from './experiments-run.js';
import { fetchRun, tryOut } from './runs-download.js';

export const tuneCommand: Command = {
  name: 'tune',
  forms: ['FILE [--keep FILE] [--base NAME] [--budget TIME] [--dry-run] [--json]'],
  options: {
    data: DATA_OPTION,
    base: { type: 'string', value: 'NAME', help: `Registered base; default ${SHIPPED_BASE}.` },
    keep: {
      type: 'string',
      value: 'FILE',
      help: 'Rows of what the base knows and should not forget; says what was forgotten.',
    },
    'forget-most': {
      type: 'string',
      value: 'BITS',
      help: 'Bits per byte that may be forgotten on the rows of --keep; default any.',
    },
    budget: {
      type: 'string',
      value: 'TIME',
      help: 'How long all of it may take at most: 90s, 30m or 2h; default 30m.',
    },
    'dry-run': { type: 'boolean', help: 'Show arms, rates, steps and cost, and start nothing.' },
    json: { type: 'boolean', help: 'The verdict as one line of JSON.' },
  },
  run: async (args) => {
    noMoreThan(args, 1, tuneCommand);
    const file = path.resolve(required(args, 0, 'The file of rows', tuneCommand));
    const keep = text(args, 'keep');
    const most = number(args, 'forget-most', 0, 100);
    if (most !== undefined && keep === undefined)
      throw new AppError('invalid_request', '--forget-most speaks of rows that --keep names, and there is no --keep.', {
        hint: 'Name rows of what the base knows with --keep.',
      });
    const client = connect(args);
    const tuning = await prepare(args, client, file, keep);
    const request = tuneRequest(tuning.input, await sizeOf(client, tuning, args.options['dry-run'] !== true));
    if (args.options['dry-run']) return showPlan(args, client, request);
    const { id } = await client.call('createExperiment', { body: request });
    if (!(await isDone(args, client, id))) return 1;
    const verdict = await client.call('getExperimentVerdict', { params: { id }, query: { keep: most } });
    return conclude(args, tuning, id, verdict);
  },
};

interface Tuning {
  input: TuneInput;
  folder: string;
  budgetS: number;
}

/** Divides the rows and uploads them. What is tuned for what, and for how long, has one name: run again, it is found again. */
async function prepare(args: Arguments, client: Client, file: string, keep: string | undefined): Promise<Tuning> {
  const label =
    path
      .basename(file)
      .replace(/\.[^.]*$/, '')
      .replaceAll(/[^A-Za-z0-9._-]/g, '-')
      .slice(0, 24) || 'rows';
  const rows = await prepareRows(file, dataDirFor(text(args, 'data')), label);
  const budget = text(args, 'budget') ?? '30m';
  const budgetS = parseBudget(budget);
  const model = text(args, 'base') ?? SHIPPED_BASE;
  const upload = uploader(args, client, rows.folder);
  const kept = keep === undefined ? null : await upload(path.resolve(keep));
  const asked = createHash('sha256')
    .update(JSON.stringify([model, kept, budgetS]))
    .digest('hex')
    .slice(0, 8);
  const input = {
    name: `tune ${path.basename(rows.folder)} ${asked}`,
    model,
    train: await upload(rows.train),
    validation: await upload(rows.validation),
    test: await upload(rows.test),
    keep: kept,
    rows: rows.rows,
  };
  return { input, folder: rows.folder, budgetS };
}

/** What fits into the budget, decided once: estimates follow what the machine has done since, a tuning that goes on must stay what it is. */
async function sizeOf(client: Client, tuning: Tuning, isKept: boolean): Promise<TuneSize> {
  const file = path.join(tuning.folder, `${tuning.input.name.slice(-8)}.json`);
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')) as TuneSize;
  const size = await findSize(client, tuning, isKept);
  if (isKept) {
    writeFileSync(`${file}.part`, JSON.stringify(size));
    renameSync(`${file}.part`, file);
  }
  return size;
}

/** A budget's share that timing may take at most. */
const TIMING_SHARE = 1 / 4;

/**
 * All that fits. Where workers are there and none has trained this base, `mayTime` measures what a step takes here, within the budget, before it is said what fits.
 */
async function findSize(client: Client, { input, budgetS }: Tuning, mayTime: boolean): Promise<TuneSize> {
  const costOf = async (size: TuneSize) => {
    const { cost } = await client.call('createExperiment', { body: { ...tuneRequest(input, size), dry_run: true } });
    const { workers = 0, measured_runs: measured = 0 } = cost ?? {};
    const seconds = (cost?.seconds.most ?? 0) / Math.max(1, workers);
    return { steps: size.steps, seconds, isGuess: workers > 0 && measured === 0 };
  };
  let [left, least, isTimed] = [budgetS, 0, !mayTime];
  for (const size of SIZES) {
    try {
      let short = await costOf({ ...size, steps: STEPS_LEAST });
      if (short.isGuess && !isTimed) {
        left -= await timeArms(client, input, TIMING_SHARE * budgetS);
        isTimed = true;
        short = await costOf({ ...size, steps: STEPS_LEAST });
      }
      least = short.seconds + budgetS - left;
      if (short.seconds > left) continue;
      const long = await costOf({ ...size, steps: 2 * STEPS_LEAST });
      const steps = stepsFor(left, [short, long], stepsMost(input.rows));
      if (steps !== null) return { ...size, steps };
    } catch (error) {
      // Where the whole model does not fit into a worker's memory, adapters may.
      if (size.arms.length < ARM_NAMES.length || !(error instanceof AppError) || error.retryable) throw error;
    }
  }
  throw tooShort(budgetS, least);
}

async function showPlan(args: Arguments, client: Client, request: ExperimentRequest): Promise<number> {
  const plan = await client.call('createExperiment', { body: { ...request, dry_run: true } });
  print(args.options.json ? JSON.stringify(plan) : planView(plan));
  if (!args.options.json) print(`\n${request.fixed?.max_steps} steps a run.`);
  return 0;
}

/** Waits for the end, shown live; quietly for a program. */
async function isDone(args: Arguments, client: Client, id: string): Promise<boolean> {
  if (args.options.json !== true) return (await watchExperiment(args, id)) === 0;
  for (;;) {
    const found = await client.call('getExperiment', { params: { id } }).catch((error: unknown) => {
      if (error instanceof AppError && error.retryable) return null;
      throw error;
    });
    if (found && found.status !== 'paused' && isTerminal(found.status)) return found.status === 'succeeded';
    await sleep(1000);
  }
}

/** How the stack's own answer of the winner is asked for: of the checkpoint of its step, at its share; nothing where that is not kept. */
async function askLine(
  args: Arguments,
  { run_id, step, lambda }: NonNullable<ExperimentVerdict['chosen']>,
): Promise<string[]> {
  const { data } = await connect(args).call('listRunCheckpoints', { params: { id: run_id }, query: { limit: 100 } });
  const kept = data.find((one) => one.step_number === step);
  return kept ? [`Ask it: npx moraine chat ${kept.fine_tuned_model_checkpoint} "…" --lambda ${lambda}`] : [];
}

/** Keeps the winner and prints the verdict. */
async function conclude(args: Arguments, { folder }: Tuning, id: string, verdict: ExperimentVerdict): Promise<number> {
  const { decision, chosen } = verdict;
  const isUsed = decision === 'use' && chosen !== null;
  const out = path.join(folder, `${id}-model`);
  if (isUsed && !existsSync(out)) {
    const options = { data: args.options.data, format: 'merged', lambda: String(chosen.lambda), out };
    await fetchRun({ ...args, options }, chosen.run_id);
  }
  const model = isUsed ? out : null;
  if (args.options.json) {
    print(JSON.stringify({ ...verdict, experiment: id, model }));
    return 0;
  }
  const next = isUsed
    ? [
        `Try it: ${tryOut(out, 'merged', '')}`,
        `How it came: npx moraine experiments report ${id}`,
        ...(await askLine(args, chosen)),
      ]
    : [`How it came: npx moraine experiments report ${id}`];
  print(`\n${verdictView(verdict, next)}`);
  return 0;
}
