import { tickText } from '../../plot/index.js';
import { markdownTable, textCell } from '../../result-text.js';
import { LEAST_VALUES } from '../../stats/index.js';
import type { ExperimentFrontier, ExperimentTable, Figure, TableRow } from './objects.js';
import { METRIC_FACTS } from './scores.js';

/** What a report is written from; every setting in it is of the request and of what the runs resolved it to. */
export interface ReportInput {
  id: string;
  name: string;
  model: string;
  status: string;
  /** As it was asked for, with every default. */
  request: Readonly<Record<string, unknown>>;
  /** The resolved configuration of a run of each arm that has one. */
  configs: readonly { arm: string; run_id: string; config: Readonly<Record<string, unknown>> }[];
  table: ExperimentTable;
  frontier: ExperimentFrontier;
}

/** The report in Markdown: figures, what held and what did not, and the methods text with every setting and the source of each number. */
export function experimentReport(input: ReportInput): string {
  const { id, name, model, status, table } = input;
  return [
    `# ${name}`,
    '',
    `Experiment \`${id}\` on \`${model}\`, ${status}. Written from its runs; each number below names the runs that it is of.`,
    '',
    ...comparison(table),
    ...heldAndNot(table, input.frontier),
    ...searches(table),
    ...seeds(table),
    ...plane(input.frontier),
    ...methods(input),
  ].join('\n');
}

const number = (value: number | null): string => (value === null ? '–' : tickText(value));
const figure = (found: Figure | null): string => {
  if (found === null) return '–';
  return found.half === null
    ? `${number(found.mean)} (${found.reason})`
    : `${number(found.mean)} ± ${number(found.half)}`;
};

/** The table of the arms in Markdown; where a search stopped runs early, with what it stopped at which rung. */
export function tableMarkdown(table: ExperimentTable): string {
  return [...comparison(table), ...heldAndNot(table, null), ...(stopsEarly(table) ? searches(table) : [])].join('\n');
}

const stopsEarly = ({ rows }: ExperimentTable): boolean =>
  rows.some(({ rates }) => rates.some(({ stopped }) => stopped !== null));

function comparison({
  rows,
  metric,
  unit,
  lower_is_better: isLower,
  search_seeds: searched,
}: ExperimentTable): string[] {
  const { title } = METRIC_FACTS[metric];
  const first = rows[0]?.arm;
  const head = [
    ...[
      'arm',
      'trains',
      'rate',
      `base`,
      `learned: ${title}, ${unit}`,
      'forgotten, bits per byte',
      `learned − ${first ?? 'first'}`,
    ],
    ...[`forgotten − ${first ?? 'first'}`, 'seeds', 'seconds'],
  ];
  const unkept = unkeptReason(rows);
  return [
    '## Learned and kept',
    '',
    ...markdownTable(
      head,
      rows.map((one) => tableRow(one, unkept !== null)),
    ),
    [
      `Mean ± half of the 95 % t-interval over the final seeds, on test rows; ${isLower ? 'lower' : 'higher'} is better.`,
      `Rate, checkpoint and λ are chosen on validation rows${searched.length === 0 ? '' : `, the rate by seed ${searched.join(', ')}`}.`,
      'Forgotten is the loss on source rows in bits per byte beyond that of the base at step 0.',
      ...(unkept === null ? [] : [`Nothing is said of what was forgotten: ${unkept}.`]),
      'Differences are paired by seed and order.',
    ].join(' '),
    '',
  ];
}

/** Why no arm has what it forgot, where that is the same for each; null elsewhere. */
function unkeptReason(rows: readonly TableRow[]): string | null {
  const [reason = null, ...others] = new Set(rows.map((one) => (one.kept === null ? one.kept_reason : null)));
  return others.length === 0 ? reason : null;
}

function tableRow(one: TableRow, isSaidOnce: boolean): string[] {
  const { difference } = one;
  const beside = (found: Figure | null): string =>
    difference === null ? '' : difference.reason === null ? figure(found) : difference.reason;
  const rate = one.learning_rate === null ? 'none yet' : String(one.learning_rate);
  const count = one.trainable_parameters.toLocaleString('en-US');
  return [
    one.arm,
    one.yardstick === null ? count : `${count} (${one.yardstick})`,
    one.is_bracketed === false ? `${rate} (not bracketed)` : rate,
    number(one.base?.mean ?? null),
    figure(one.learned),
    isSaidOnce || one.kept !== null ? figure(one.kept) : `– (${one.kept_reason})`,
    beside(difference?.learned ?? null),
    beside(difference?.kept ?? null),
    String(one.learned?.n ?? 0),
    `${Math.round(one.seconds.search)} + ${Math.round(one.seconds.final)}${one.seconds.runs_unmeasured > 0 ? ` (${one.seconds.runs_unmeasured} runs not measured)` : ''}`,
  ];
}

function heldAndNot(table: ExperimentTable, frontier: ExperimentFrontier | null): string[] {
  const undecided = table.rows.flatMap(({ arm, difference }) => {
    const found = difference?.learned;
    if (!difference || !found || found.n < LEAST_VALUES) return [];
    const open = `Whether ${arm} learned more than ${difference.to} is open`;
    if (found.half === null)
      return [`${open}: the difference is ${number(found.mean)} in each of ${found.n} seeds, which gives no interval.`];
    return Math.abs(found.mean) > found.half
      ? []
      : [`${open}: the interval of the difference, ${figure(found)}, holds 0.`];
  });
  const gauge = frontier?.gauge.refusal ?? null;
  const not = [
    ...table.not_comparable.map(({ sentence }) => `Not comparable because ${sentence}.`),
    ...undecided,
    ...(gauge === null ? [] : [`The KL gauge: ${gauge}.`]),
  ];
  const list = (items: readonly string[], none: string): string[] =>
    items.length === 0 ? [none] : items.map((item) => `- ${item}`);
  return [
    '## What held',
    '',
    ...list(
      table.claims.map((claim) => `${claim}.`),
      'No difference between comparable arms has an interval without 0.',
    ),
    '',
    '## What did not',
    '',
    ...list(not, 'Nothing stands against the comparison.'),
    '',
  ];
}

function searches(table: ExperimentTable): string[] {
  const { rows } = table;
  const searched = rows.filter(({ rates }) => rates.length > 0);
  if (searched.length === 0) return [];
  return [
    '## The search of the rates',
    '',
    'Validation loss of the result of each run, nats a token; the chosen rate is bold.',
    ...(stopsEarly(table)
      ? [
          'A run that was stopped early is compared with others at the step where it was stopped, never with a loss of another step.',
        ]
      : []),
    '',
    ...markdownTable(
      ['arm', 'rates', 'a worse neighbour on both sides'],
      searched.map(({ arm, rates, learning_rate, is_bracketed }) => [
        arm,
        rates
          .map(({ learning_rate: rate, loss, stopped }) => {
            const text = `${rate}: ${stopped === null ? (loss === null ? 'diverged' : number(loss)) : `stopped at step ${stopped.step} (${number(stopped.loss)} there)`}`;
            return rate === learning_rate ? `**${text}**` : text;
          })
          .join(', '),
        is_bracketed === true ? 'yes' : 'no',
      ]),
    ),
  ];
}

function seeds({ rows, metric }: ExperimentTable): string[] {
  const runs = rows.flatMap(({ arm, runs: all }) => all.map((one) => ({ arm, ...one })));
  if (runs.length === 0) return [];
  return [
    '## Runs of the final seeds',
    '',
    ...markdownTable(
      [
        'arm',
        'seed',
        'run',
        'checkpoint',
        'λ',
        `${METRIC_FACTS[metric].title}, test rows`,
        'n',
        'forgotten',
        'seconds',
        'left out',
      ],
      runs.map((one) => [
        ...[
          one.arm,
          String(one.seed),
          `\`${one.run_id}\``,
          one.step === null ? '–' : `step ${one.step}`,
          number(one.lambda),
        ],
        one.interval === null ? number(one.learned) : `${number(one.learned)} [${one.interval.map(number).join(', ')}]`,
        ...[
          one.rows === null ? '–' : String(one.rows),
          number(one.kept),
          number(one.seconds === null ? null : Math.round(one.seconds)),
        ],
        one.left_out ?? '',
      ]),
    ),
  ];
}

function plane({ front, x, y, gauge, left_out: leftOut }: ExperimentFrontier): string[] {
  const fits = [
    { name: 'second degree', fit: gauge.quadratic },
    { name: 'linear', fit: gauge.linear },
  ].flatMap(({ name, fit }) =>
    fit === null
      ? []
      : [`${name}: R² ${number(fit.r2)}, ${number(fit.leave_one_method_out_r2)} on the method that was left out`],
  );
  return [
    '## The plane',
    '',
    `No other model beats these on both axes: ${x.title} (${x.unit}), and ${y.title} (${y.unit}, below 0 is forgetting).`,
    '',
    ...markdownTable(
      ['arm', 'run', 'step', 'λ', 'learned', 'kept'],
      front.map((one) => [
        one.arm ?? 'the base',
        one.run_id === null ? '' : `\`${one.run_id}\``,
        ...[String(one.step), number(one.lambda), number(one.x), number(one.y)],
      ]),
    ),
    ...leftOut.map(({ run_id, reason }) => `- \`${run_id}\` has no place: ${reason}.`),
    ...(leftOut.length === 0 ? [] : ['']),
    ...(fits.length === 0
      ? []
      : [
          `Bits per byte forgotten over KL(p_base ‖ q), ${gauge.points.length} runs of ${gauge.methods.join(', ')}: ${fits.join('; ')}.`,
          '',
        ]),
  ];
}

function methods({ request, configs }: ReportInput): string[] {
  const flat = configs.map(({ arm, run_id, config }) => ({ arm, run_id, values: flatten(config) }));
  const keys = [...new Set(flat.flatMap(({ values }) => [...values.keys()]))].sort();
  const shared = keys.filter((key) => new Set(flat.map(({ values }) => values.get(key))).size === 1);
  const own = keys.filter((key) => !shared.includes(key));
  const asked = flatten(request);
  return [
    '## Methods',
    '',
    'What was asked for, with every default:',
    '',
    ...markdownTable(
      ['setting', 'value'],
      [...asked].map(([key, value]) => [`\`${key}\``, textCell(value)]),
    ),
    ...(flat.length === 0 ? [] : sharedSettings()),
  ];

  function sharedSettings(): string[] {
    const [first] = flat;
    return [
      `What it was resolved to, as run${flat.length === 1 ? '' : 's'} ${flat.map(({ run_id }) => `\`${run_id}\``).join(', ')} ha${flat.length === 1 ? 's' : 've'} it; the same in every arm:`,
      '',
      ...markdownTable(
        ['setting', 'value'],
        shared.map((key) => [`\`${key}\``, first?.values.get(key) ?? '']),
      ),
      ...(own.length === 0
        ? []
        : [
            'What differs between the arms:',
            '',
            ...markdownTable(
              ['setting', ...flat.map(({ arm }) => arm)],
              own.map((key) => [`\`${key}\``, ...flat.map(({ values }) => values.get(key) ?? '')]),
            ),
          ]),
    ];
  }
}

/** Settings by their path; lists of plain values are one value. */
function flatten(value: unknown, path = ''): Map<string, string> {
  const isPlain = (one: unknown): boolean => typeof one !== 'object' || one === null;
  if (isPlain(value)) return new Map([[path, String(value)]]);
  if (Array.isArray(value) && value.every(isPlain))
    return new Map([[path, value.length === 0 ? 'none' : value.join(', ')]]);
  const entries = Array.isArray(value)
    ? value.map((one, i) => [`${path}[${i}]`, one] as const)
    : Object.entries(value as object).map(([key, one]) => [path === '' ? key : `${path}.${key}`, one] as const);
  return new Map(entries.flatMap(([key, one]) => (one === undefined ? [] : [...flatten(one, key)])));
}

/** The front in Markdown. */
export const frontierMarkdown = (frontier: ExperimentFrontier): string => plane(frontier).join('\n');
