import { type StateReason, storedRunConfig } from '@moraine/contract';
import {
  type DialPoint,
  type ExperimentOutcome,
  type FileScores,
  type OutcomePoint,
  type RunOutcome,
  settingsOf,
} from '@moraine/contract/experiments';
import { EvaluationSummary } from '@moraine/contract/suites';
import type { Actor, Services } from '../ground/context.js';
import type {
  BaseModel,
  EvaluationModel,
  EvaluationTaskModel,
  FileModel,
  RunModel,
  TaskModel,
} from '../ground/generated/models.js';
import { inSnapshot } from '../ground/in-snapshot.js';
import { requestHash } from '../ground/request-hash.js';
import { NOT_PROMOTED } from '../training/hold-run.js';
import { type ExperimentRow, requireExperiment } from './experiment-row.js';

/** What the runs of an experiment did: all that its table, figures and report are computed from. @throws AppError `not_found`. */
export async function loadOutcome(s: Services, actor: Actor, id: string): Promise<ExperimentOutcome> {
  const row = await requireExperiment(s, actor, id);
  const runs = await inSnapshot(s, (tx) =>
    tx.run.findMany({
      where: { experimentId: id, experimentCell: { not: null }, task: { deletedAt: null } },
      include: { task: true, base: true, evaluations: true },
      orderBy: [{ task: { createdAt: 'asc' } }, { id: 'asc' }],
    }),
  );
  const ids = runs.map((run) => run.id);
  const series = await readSeries(s, ids);
  const files = await filesOf(s, row, runs);
  const dials = await s.db.evaluationTask.findMany({
    // What a run is at 1 its own evaluations say.
    where: { experimentId: id, runId: { in: ids }, lambda: { lt: 1 }, task: { status: 'succeeded' } },
  });
  return {
    arms: row.plan.arms.map((arm) => ({
      name: arm.name,
      method: arm.method,
      label: arm.label,
      color: arm.color,
      trainable_parameters: arm.trainableParameters,
      replay_share: arm.replayShare,
    })),
    runs: runs.map((run) => {
      const measured = series.filter(({ run_id }) => run_id === run.id);
      const outcome = toRunOutcome(row, run, measured, files);
      const scored = dials.filter(({ runId }) => runId === run.id);
      return { ...outcome, dial: dialOf(row, scored, outcome.points) };
    }),
  };
}

type WholeRun = RunModel & { task: TaskModel; base: BaseModel; evaluations: EvaluationModel[] };

function toRunOutcome(row: ExperimentRow, run: WholeRun, measured: readonly Measured[], files: Files): RunOutcome {
  const { task, base, evaluations } = run;
  const config = storedRunConfig(run.config);
  const { batch_size, packing, max_seq_len } = config;
  const data = dataHash(run.trainingFileId, config.data_mix, files);
  return {
    run_id: run.id,
    arm: run.experimentArm ?? '',
    phase: run.experimentPhase === 'search' ? 'search' : 'final',
    seed: run.seed,
    learning_rate: config.optimizer.learning_rate,
    status: task.status,
    stopped_at: stoppedAt(run),
    verdict: task.errorCode,
    steps: run.steps,
    result_step: run.resultStep,
    tokens: Number(run.trainedTokens),
    seconds: task.finishedAt === null ? null : secondsOf(measured),
    trainable_parameters: config.trainable_parameters,
    base: `${base.id} ${base.sha256}`,
    data,
    order: requestHash({ data, seed: run.seed, batch_size, packing, max_seq_len }),
    evaluation_items: files.get(row.request.evaluation.validation)?.sha256 ?? '',
    sequence_length: max_seq_len,
    settings: settingsOf(config),
    points: pointsOf(row, measured, evaluations, files),
    dial: [],
  };
}

/** The step of the rung at which a search ended a run. */
const stoppedAt = ({ task, holdStep }: Pick<WholeRun, 'task' | 'holdStep'>): number | null =>
  task.status === 'cancelled' && (task.stateReason as StateReason | null)?.code === NOT_PROMOTED ? holdStep : null;

interface Measured {
  run_id: string;
  name: string;
  step: number;
  value: number;
}

/** Series of the validation file, point by point, and the seconds that all steps took, as `step_ms` of the last step. */
async function readSeries(s: Services, ids: readonly string[]): Promise<Measured[]> {
  const { rows } = await s.pg.query<Measured>(
    `SELECT m.run_id, m.name, p.step, p.value FROM metric_series m JOIN metric_points p ON p.series_id = m.id
     WHERE m.run_id = ANY ($1) AND m.name IN ('valid_loss', 'valid_mean_token_accuracy', 'valid_kl_to_base')
     UNION ALL SELECT m.run_id, m.name, max(u.last_step), sum(u.sum) FROM metric_series m JOIN metric_rollups u ON u.series_id = m.id
     WHERE m.run_id = ANY ($1) AND m.name = 'step_ms' GROUP BY m.run_id, m.name ORDER BY step`,
    [ids],
  );
  return rows;
}

function secondsOf(measured: readonly Measured[]): number | null {
  const all = measured.find(({ name }) => name === 'step_ms');
  return all === undefined ? null : all.value / 1_000;
}

type Files = ReadonlyMap<string, FileModel>;

async function filesOf(
  s: Services,
  { request }: ExperimentRow,
  runs: readonly { config: unknown; trainingFileId: string }[],
): Promise<Files> {
  const { validation, test, source } = request.evaluation;
  const trained = runs.flatMap(({ config, trainingFileId }) => [
    trainingFileId,
    ...(storedRunConfig(config).data_mix ?? []).map(({ file_id }) => file_id),
  ]);
  const ids = [...trained, validation, ...(test === undefined ? [] : [test]), ...source];
  const files = await s.db.file.findMany({ where: { id: { in: [...new Set(ids)] } } });
  return new Map(files.map((file) => [file.id, file]));
}

/** Of the rows that are trained on: the contents of the files, their weights and roles. */
function dataHash(
  trainingFile: string,
  mix: readonly { file_id: string; weight: number; role: string }[] = [],
  files: Files,
) {
  const contentOf = (id: string): string => files.get(id)?.sha256 ?? id;
  return requestHash([
    contentOf(trainingFile),
    ...mix.map(({ file_id, weight, role }) => [contentOf(file_id), weight, role]),
  ]);
}

/** Every step that the run was scored at: the files of its evaluation, and between them the validation file alone. */
function pointsOf(
  { request }: ExperimentRow,
  measured: readonly Measured[],
  evaluations: readonly EvaluationModel[],
  files: Files,
): OutcomePoint[] {
  const { validation, test, source } = request.evaluation;
  const at = (name: string, step: number): number | null =>
    measured.find((one) => one.name === name && one.step === step)?.value ?? null;
  const validated = measured.filter(({ name }) => name === 'valid_loss').map(({ step }) => step);
  const steps = [...new Set([...evaluations.map(({ step }) => step), ...validated])].sort((a, b) => a - b);
  const whole = evaluations.find(({ fileId }) => fileId === validation);
  const scoreOf = (fileId: string, step: number): FileScores[] => {
    const isSource = source.includes(fileId);
    const kind = { role: isSource ? 'source' : 'target', use: fileId === validation ? 'validation' : 'test' } as const;
    const found = evaluations.find((one) => one.fileId === fileId && one.step === step);
    if (found) return [{ ...toScores(found), ...kind }];
    const loss = fileId === validation ? at('valid_loss', step) : null;
    if (loss === null) return [];
    return [
      {
        file_id: fileId,
        name: files.get(fileId)?.filename ?? fileId,
        ...kind,
        rows: whole?.rows ?? files.get(fileId)?.rows ?? 0,
        supervised_tokens: whole?.supervisedTokens ?? 0,
        loss,
        bits_per_byte: null,
        token_accuracy: at('valid_mean_token_accuracy', step) ?? 0,
        exact_match: null,
      },
    ];
  };
  const read = [validation, ...(test === undefined ? [] : [test]), ...source];
  return steps.map((step) => ({
    step,
    kl:
      evaluations.find((one) => one.fileId === validation && one.step === step)?.klToBase ??
      at('valid_kl_to_base', step),
    scores: read.flatMap((fileId) => scoreOf(fileId, step)),
  }));
}

/** The run at shares of its update, by rising share; what was scored of it so far. */
function dialOf(
  { request }: ExperimentRow,
  scored: readonly EvaluationTaskModel[],
  points: readonly OutcomePoint[],
): DialPoint[] {
  const { validation, source } = request.evaluation;
  const beside = points.flatMap(({ scores }) => scores);
  const toScore = ({ fileId, summary }: EvaluationTaskModel): FileScores[] => {
    const { n, metrics } = EvaluationSummary.parse(summary);
    const known = beside.find(({ file_id }) => file_id === fileId);
    const figure = (name: string): number | null => metrics[name]?.value ?? null;
    const loss = figure('nats_per_token');
    if (loss === null) return [];
    return [
      {
        file_id: fileId,
        name: known?.name ?? fileId,
        role: source.includes(fileId) ? 'source' : 'target',
        use: fileId === validation ? 'validation' : 'test',
        // Rows that its runs leave out are left out here too.
        rows: known?.rows ?? n,
        supervised_tokens: known?.supervised_tokens ?? 0,
        loss,
        bits_per_byte: figure('bits_per_byte'),
        token_accuracy: figure('token_accuracy') ?? 0,
        exact_match: known?.exact_match === null ? null : figure('exact_match'),
      },
    ];
  };
  const lambdas = [...new Set(scored.map(({ lambda }) => lambda))].sort((a, b) => a - b);
  return lambdas.map((lambda) => ({ lambda, scores: scored.filter((one) => one.lambda === lambda).flatMap(toScore) }));
}

const toScores = (row: EvaluationModel): Omit<FileScores, 'role' | 'use'> => ({
  file_id: row.fileId,
  name: row.name,
  rows: row.rows,
  supervised_tokens: row.supervisedTokens,
  loss: row.loss,
  bits_per_byte: row.bitsPerByte,
  token_accuracy: row.tokenAccuracy,
  exact_match: row.exactMatch,
});
