import { type ExperimentCell, type ExperimentObject, isTerminal } from '@moraine/contract';
import { duration, labelled, paint, table } from './terminal.js';

const count = (n: number): string => n.toLocaleString('en');

/** Tasks beside the runs, where there are some. */
function besideOf(beside: NonNullable<NonNullable<ExperimentObject['cost']>['beside']>): string | null {
  const parts = Object.entries(beside).flatMap(([kind, { least, most }]) =>
    most === 0 ? [] : [`${rangeOf(least, most)} ${kind}`],
  );
  return parts.length === 0 ? null : parts.join(', ');
}

/** An experiment before it starts: arms, budgets, cost, and what will not be comparable. */
export function planView(plan: ExperimentObject): string {
  const { arms, runs, cost, warnings } = plan;
  const rows = arms.map((arm) => [
    arm.name,
    arm.method.label,
    count(arm.trainable_parameters),
    arm.replay_share === null ? '' : `${Math.round(100 * arm.replay_share)} %`,
    arm.learning_rates.join(' '),
    rangeOf(arm.runs.least, arm.runs.most),
    arm.seconds_per_run ? `${duration(arm.seconds_per_run.search)}, ${duration(arm.seconds_per_run.final)}` : '',
    arm.coverage,
  ]);
  const pace = cost?.measured_runs
    ? `by the pace of ${cost.measured_runs} runs of this pool`
    : 'a rough estimate: no run of this pool has ended';
  const summary = labelled([
    ['runs', rangeOf(runs.least, runs.most)],
    [
      'cost',
      cost
        ? `${duration(cost.seconds.least)} to ${duration(cost.seconds.most)}${cost.seconds.expected === undefined ? '' : `, about ${duration(cost.seconds.expected)},`} of one worker; ${cost.workers} there now; ${pace}`
        : null,
    ],
    ['in it', cost?.beside ? besideOf(cost.beside) : null],
  ]);
  return [
    table(
      [
        { title: 'ARM' },
        { title: 'METHOD' },
        { title: 'PARAMETERS', align: 'right' },
        { title: 'REPLAY', align: 'right' },
        { title: 'FIRST RATES' },
        { title: 'RUNS', align: 'right' },
        { title: 'A RUN: SEARCH, FINAL' },
        { title: 'TRAINS' },
      ],
      rows,
    ),
    '',
    summary,
    ...arms.flatMap((arm) => rungsOf(arm)),
    ...warnings.map((sentence) => paint('yellow', `Not comparable because ${sentence}.`)),
  ].join('\n');
}

/** How many runs of a search come to each rung, and what they train in all. */
function rungsOf({ name, rungs = [] }: ExperimentObject['arms'][number]): string[] {
  if (rungs.length === 0) return [];
  const trained = (end: 'least' | 'expected' | 'most'): number =>
    rungs.reduce((sum, { step, runs }, at) => sum + runs[end] * (step - (rungs[at - 1]?.step ?? 0)), 0);
  const told = rungs.map(({ step, runs }) => {
    const { least, expected, most } = runs;
    return `step ${step}: ${least === most ? most : `${least} to ${most}, about ${expected}`}`;
  });
  const steps = `${count(trained('least'))} to ${count(trained('most'))} steps, about ${count(Math.round(trained('expected')))}`;
  return [`${name}: runs that come to ${told.join('; ')}. The search trains ${steps}.`];
}

const rangeOf = (least: number, most: number): string => (least === most ? String(least) : `${least} to ${most}`);

/** How far an experiment is: an arm a line. */
export function progressView(experiment: ExperimentObject): string {
  const { arms, cells } = experiment;
  const rows = arms.map((arm) => {
    const own = cells.filter((cell) => cell.arm === arm.name);
    return [
      arm.name,
      arm.phase,
      barOf(own),
      `${own.filter(isOver).length}/${own.length}`,
      arm.learning_rate === null ? '' : String(arm.learning_rate),
      scoreOf(own, arm.learning_rate),
      noteOf(arm.note, own),
    ];
  });
  return table(
    [
      { title: 'ARM' },
      { title: 'PHASE' },
      { title: 'STEPS' },
      { title: 'RUNS', align: 'right' },
      { title: 'RATE', align: 'right' },
      { title: 'VALID LOSS', align: 'right' },
      { title: 'NOTE' },
    ],
    rows,
  );
}

const isOver = ({ status }: ExperimentCell): boolean => status !== null && isTerminal(status);

const BAR = 16;

/** Steps that are done of those of the runs that there are. */
function barOf(cells: readonly ExperimentCell[]): string {
  const all = cells.reduce((sum, { steps }) => sum + steps, 0);
  const done = cells.reduce((sum, cell) => sum + (isOver(cell) ? cell.steps : cell.step), 0);
  const full = all === 0 ? 0 : Math.round((BAR * done) / all);
  return `${'█'.repeat(full)}${'░'.repeat(BAR - full)} ${String(all === 0 ? 0 : Math.floor((100 * done) / all)).padStart(3)} %`;
}

/** Mean validation loss of the final seeds, else the best so far. */
function scoreOf(cells: readonly ExperimentCell[], rate: number | null): string {
  const scores = (phase: ExperimentCell['phase']) =>
    cells
      .filter((cell) => cell.phase === phase && (phase === 'search' || cell.learning_rate === rate))
      .flatMap(({ score }) => score ?? []);
  const final = scores('final');
  if (final.length > 0) return (final.reduce((a, b) => a + b, 0) / final.length).toFixed(4);
  const search = scores('search');
  return search.length > 0 ? Math.min(...search).toFixed(4) : '';
}

function noteOf(note: string, cells: readonly ExperimentCell[]): string {
  const running = cells.find(({ status }) => status === 'running');
  return running
    ? `lr ${running.learning_rate} seed ${running.seed} at step ${running.step} of ${running.steps}`
    : note;
}

/** A run that its search holds, or has stopped, says at which step. */
function statusOf({ status, is_stopped: isStopped, hold_step: at, step }: ExperimentCell): string {
  if (isStopped) return `stopped at ${at}`;
  return status === 'paused' && at !== null && step >= at ? `held at ${at}` : (status ?? 'to start');
}

/** Every run of an experiment, a line each. */
export function cellsView({ cells }: ExperimentObject): string {
  return table(
    [
      { title: 'ARM' },
      { title: 'PHASE' },
      { title: 'RATE', align: 'right' },
      { title: 'SEED', align: 'right' },
      { title: 'STATUS' },
      { title: 'STEP', align: 'right' },
      { title: 'VALID LOSS', align: 'right' },
      { title: 'RUN' },
    ],
    cells.map((cell) => [
      cell.arm,
      cell.phase,
      String(cell.learning_rate),
      String(cell.seed),
      statusOf(cell),
      cell.run_id === null ? '' : `${cell.step}/${cell.steps}`,
      cell.score === null ? '' : cell.score.toFixed(4),
      cell.run_id ?? '',
    ]),
  );
}
