import { AppError, type Estimate, type RunConfig } from '@moraine/contract';
import { countAgain, epochDraws, parseModelConfig } from '@moraine/contract/plan';
import { type EncodedAside, estimateAside, type RunEstimate, type RunToEstimate, type ScoredFile } from '@moraine/data';
import { createCache } from '../ground/cache.js';
import type { Actor, Services } from '../ground/context.js';
import { requestHash } from '../ground/request-hash.js';
import { presentWorkers } from '../work/present-workers.js';
import { besideSeconds } from './beside-seconds.js';
import { besideTasks } from './beside-tasks.js';
import { encodeFiles, toRehearsal, withShares } from './dry-run.js';
import { type Prepared, prepareRun, trainingFilesOf } from './prepare-run.js';

/** Runs whose pace is asked, and of how many the middle one counts. */
const RUNS_ASKED = 5;

/**
 * Memory and time of a run, before it starts: its rows are encoded and laid out as the run would.
 * @throws AppError as `createRun` does, and as the run would before its first step.
 */
export async function estimateRun(s: Services, actor: Actor, body: unknown): Promise<Estimate> {
  const prepared = await prepareRun(s, actor, body);
  return estimatePrepared(s, prepared, await encodeFiles(s, prepared));
}

/** The same of a request whose rows were encoded, one entry a file. */
export async function estimatePrepared(
  s: Services,
  prepared: Prepared,
  encoded: readonly EncodedAside[] | string,
): Promise<Estimate> {
  if (typeof encoded === 'string') throw tooMuchToRead(encoded);
  const config = configOn(prepared, encoded);
  const pool = prepared.request.pool ?? 'default';
  const workers = await presentWorkers(s, pool);
  const isGpu = workers.length > 0 && workers.every(({ device }) => (device as { kind?: string }).kind === 'gpu');
  const paces = await pacesOf(s, pool, prepared, config);
  const trained = trainingFilesOf(config);
  const scored = encoded.slice(trained).map((found, i) => toScored(found, prepared.files[trained + i]?.file.rows));
  const hasValidation = prepared.files.some(({ param }) => param === 'validation_file');
  const found = await estimate({
    model: parseModelConfig(prepared.base.config),
    config,
    device: isGpu ? 'gpu' : 'cpu',
    training: encoded.slice(0, trained).map(({ lengths }) => lengths),
    validation: hasValidation ? (scored[0] ?? null) : null,
    evaluation: (hasValidation ? scored.slice(1) : scored).map((file, i) => ({
      ...file,
      onTheWay: onTheWay(prepared, config, i),
    })),
    tokensPerSecond: paces[Math.floor(paces.length / 2)] ?? null,
    besideSeconds: await besideSeconds(s, pool, prepared.base.id),
  });
  return {
    object: 'fine_tuning.estimate',
    model: prepared.base.name,
    config,
    memory: found.memory,
    time: {
      total_seconds: Object.values(found.seconds).reduce((a, b) => a + b, 0),
      parts: found.seconds,
      measured_runs: paces.length,
    },
    beside: await besideTasks(s, pool, prepared.base.id, config, found.seconds.train),
    shapes: found.shapes.training.map(({ batch, time }) => `${batch}x${time}`),
    tokens_per_step: found.tokensPerStep,
    workers: workers.map(({ id, memoryBytes }) => ({
      id,
      memory_bytes: Number(memoryBytes),
      fits: found.memory.total_bytes <= Number(memoryBytes),
    })),
    rehearsal: withShares(
      prepared.files.flatMap((file, i) => (encoded[i] ? [toRehearsal(file, encoded[i])] : [])),
      prepared.files,
      config,
    ),
  };
}

/** The configuration on the rows that are trained on; of a file that was read in part, on as many as that part makes likely. */
export function configOn({ config, files }: Prepared, encoded: readonly Pick<EncodedAside, 'report'>[]): RunConfig {
  const likely = Array.from({ length: trainingFilesOf(config) }, (_, i) => {
    const { rows, rowsRead, isPartial } = encoded[i]?.report ?? { rows: 0, rowsRead: 0, isPartial: true };
    if (rows === 0) throw tooMuchToRead(`found no row to train on among the first ${rowsRead} in the time that it has`);
    const all = isPartial ? (files[i]?.file.rows ?? rowsRead) : rowsRead;
    return Math.max(1, Math.round((rows * all) / rowsRead));
  });
  return countAgain(config, epochDraws(config.data_mix, likely));
}

/**
 * How often an evaluation file is scored between the first and the last step. The validation file is then scored once for both; of checkpoints by time, and of the best, it is not known how many there will be,
 * and they count as the validations.
 */
function onTheWay({ request }: Prepared, { steps, evaluation, checkpoint }: RunConfig, at: number): number {
  const file = evaluation.files[at] ?? '';
  const when = evaluation.during?.[file];
  if (when === undefined || file === request.validation_file) return 0;
  const every = when === 'checkpoints' && checkpoint.every_steps > 0 ? checkpoint.every_steps : evaluation.every_steps;
  return Math.ceil(steps / Math.max(1, every)) - 1;
}

/** A file that is scored; of one that was read in part, as many rows as that part makes likely. */
export function toScored({ lengths, report }: EncodedAside, rows: number | null | undefined): ScoredFile {
  const { isPartial, rowsRead } = report;
  return { lengths, times: isPartial ? Math.max(1, (rows ?? rowsRead) / Math.max(1, rowsRead)) : 1 };
}

/** By everything that they follow from. An experiment asks for the same run with several seeds, and a tuning for the same arms under several budgets. */
const estimates = createCache<RunEstimate>(64);

async function estimate(run: RunToEstimate): Promise<RunEstimate> {
  try {
    return await estimates.get(requestHash(run), () => estimateAside(run));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw tooMuchToRead(error.message);
  }
}

/** Real tokens a second of the latest runs of the pool on this base, by this method and mode, over all their steps; ascending. */
async function pacesOf(s: Services, pool: string, { base }: Prepared, config: RunConfig): Promise<number[]> {
  const { rows } = await s.pg.query<{ pace: number }>(
    `SELECT r.trained_tokens * 1000 / took.ms AS pace FROM runs r JOIN tasks t ON t.id = r.id
     CROSS JOIN LATERAL (SELECT sum(u.sum) AS ms FROM metric_series m JOIN metric_rollups u ON u.series_id = m.id
       WHERE m.run_id = r.id AND m.name = 'step_ms') took
     WHERE r.base_id = $1 AND t.pool = $2 AND t.status = 'succeeded' AND t.deleted_at IS NULL
       AND r.config #>> '{adapter,type}' = $3 AND coalesce(r.config ->> 'mode', 'plain') = $4 AND took.ms > 0 AND r.trained_tokens > 0
     ORDER BY t.finished_at DESC LIMIT ${RUNS_ASKED}`,
    [base.id, pool, config.adapter.type, config.mode],
  );
  return rows.map(({ pace }) => pace).sort((a, b) => a - b);
}

const tooMuchToRead = (why: string): AppError =>
  new AppError('invalid_file', `The run cannot be estimated from its rows: reading them ${why}.`, {
    param: 'training_file',
    hint: 'Ask with a smaller file of like rows.',
  });
