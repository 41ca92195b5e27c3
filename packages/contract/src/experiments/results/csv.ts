import { type CsvValue, toCsv } from '../../result-text.js';
import type { ExperimentCurves, ExperimentFrontier, ExperimentTable } from './objects.js';

const TABLE_COLUMNS = [
  ...[
    'arm',
    'method',
    'yardstick',
    'trainable_parameters',
    'replay_share',
    'learning_rate',
    'is_bracketed',
    'metric',
    'unit',
  ],
  ...['seeds', 'base', 'learned', 'learned_half', 'kept_bits_per_byte', 'kept_half', 'difference_to'],
  ...[
    'learned_difference',
    'learned_difference_half',
    'kept_difference',
    'kept_difference_half',
    'search_seconds',
    'final_seconds',
  ],
  'stopped',
  'not_comparable',
] as const;

/** A row an arm. */
export function tableCsv({ rows, metric, unit, not_comparable }: ExperimentTable): string {
  return toCsv(
    TABLE_COLUMNS,
    rows.map((row) => {
      const { difference, learned, kept, base } = row;
      const reasons = not_comparable.filter(({ arms }) => arms.includes(row.arm)).map(({ sentence }) => sentence);
      return [
        ...[
          row.arm,
          row.method,
          row.yardstick,
          row.trainable_parameters,
          row.replay_share,
          row.learning_rate,
          row.is_bracketed,
          metric,
          unit,
        ],
        ...[learned?.n ?? 0, base?.mean ?? null, learned?.mean ?? null, learned?.half ?? null],
        ...[kept?.mean ?? null, kept?.half ?? null, difference?.to ?? null],
        ...[difference?.learned?.mean ?? null, difference?.learned?.half ?? null],
        ...[difference?.kept?.mean ?? null, difference?.kept?.half ?? null, row.seconds.search, row.seconds.final],
        row.rates
          .flatMap((one) => (one.stopped === null ? [] : [`${one.learning_rate} at step ${one.stopped.step}`]))
          .join('; '),
        reasons.join('; '),
      ];
    }),
  );
}

/** A row a value: of a run at a step, of the mean over seeds, or of a rate. */
export function curvesCsv({ panels, rates }: ExperimentCurves): string {
  const overSteps = panels.flatMap(({ quantity, unit, arms }) =>
    arms.flatMap(({ arm, runs, mean }) => [
      ...runs.flatMap(({ run_id, seed, points }) =>
        points.map(({ step, value }): CsvValue[] => [quantity, unit, arm, run_id, seed, step, null, value, null, null]),
      ),
      ...mean.map((one): CsvValue[] => [quantity, unit, arm, null, null, one.step, null, one.mean, one.half, one.n]),
    ]),
  );
  const overRates = rates.flatMap(({ arm, points }) =>
    // Of a run that was stopped early: its step and the loss there. An empty step is the last.
    points.map(({ learning_rate, loss, stopped, seeds }): CsvValue[] => [
      ...['validation_loss', 'nats a token', arm, null, null, stopped?.step ?? null, learning_rate],
      ...[stopped === null ? loss : stopped.loss, null, seeds.length],
    ]),
  );
  const names = ['quantity', 'unit', 'arm', 'run_id', 'seed', 'step', 'learning_rate', 'value', 'half', 'seeds'];
  return toCsv(names, [...overSteps, ...overRates]);
}

/** A row a model in the plane. */
export function frontierCsv({ runs, x, y, metric, rows }: ExperimentFrontier): string {
  return toCsv(
    [
      'run_id',
      'arm',
      'seed',
      'step',
      'lambda',
      'metric',
      'rows',
      'learned',
      'learned_unit',
      'kept',
      'kept_unit',
      'is_on_front',
    ],
    runs.flatMap(({ run_id, arm, seed, points, dial }) =>
      [...points, ...dial].map((one) => [
        ...[run_id, arm, seed, one.step, one.lambda, metric, rows, one.x, x.unit, one.y, y.unit, one.is_on_front],
      ]),
    ),
  );
}
