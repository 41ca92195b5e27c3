import { REFERENCE_WIDTH } from '../methods/method.js';
import { DEFAULT_METHOD, methodRow } from '../methods/registry.js';
import { OPTIMIZERS } from '../optimizers.js';
import type { RunConfig } from '../run-config.js';
import { REFERENCE_RATE, referenceRate } from './learning-rate.js';

type Choice = NonNullable<RunConfig['chosen']>[number];

/** One step sees 0.2 % of the rows, as the OpenAI API does, but 8 to 32 rows where the file is large enough for 8 steps an epoch. */
const [SHARE, LEAST, MOST, STEPS] = [0.002, 8, 32, 8];
export const batchSizeAuto = (rows: number): number =>
  Math.max(1, Math.min(LEAST, Math.floor(rows / STEPS)), Math.min(MOST, Math.round(rows * SHARE)));

/** What of a run the request left open. */
export interface Open {
  n_epochs: boolean;
  batch_size: boolean;
  learning_rate: boolean;
  /** Rows of an epoch, and width of the base. */
  rows: number;
  hiddenSize: number;
}

/** Why each value that the request left open is what it is; the values are the configuration's. */
export function explainChoices(config: RunConfig, open: Open): Choice[] {
  const { rows, hiddenSize } = open;
  return [
    ...(open.learning_rate ? [{ param: 'learning_rate' as const, reason: whyRate(config, hiddenSize) }] : []),
    ...(open.batch_size ? [{ param: 'batch_size' as const, reason: whyBatch(rows) }] : []),
    ...(open.n_epochs ? [{ param: 'n_epochs' as const, reason: whyEpochs(config) }] : []),
  ];
}

/** The choices of a run as sentences, with the values that it has. */
export const describeChoices = (config: RunConfig): string[] =>
  (config.chosen ?? []).map(({ param, reason }) => {
    const value = param === 'learning_rate' ? config.optimizer.learning_rate : config[param];
    return `${param} ${inWords(value)} was chosen: ${reason}.`;
  });

function whyRate({ adapter, optimizer, learning_rate_multiplier: multiplier = 1 }: RunInput, width: number): string {
  const share = methodRow(adapter).learningRate(adapter, width);
  const method = methodRow(adapter).label(adapter);
  const of = OPTIMIZERS[optimizer.type].rate;
  return [
    `${DEFAULT_METHOD.name}'s rate at width ${width} is ${referenceRate(width)} (${REFERENCE_RATE} at ${REFERENCE_WIDTH}, falling with the root of the width)`,
    share === 1 ? `${method} takes it` : `${method} takes ${short(share)} of it`,
    ...(of === 1 ? [] : [`${optimizer.type} ${of} of AdamW's`]),
    ...(multiplier === 1 ? [] : [`learning_rate_multiplier is ${multiplier}`]),
  ].join(', ');
}

type RunInput = Pick<RunConfig, 'adapter' | 'optimizer' | 'learning_rate_multiplier'>;

function whyBatch(rows: number): string {
  const [share, size] = [Math.round(rows * SHARE), batchSizeAuto(rows)];
  const count = rows.toLocaleString('en-US');
  if (share > MOST) return `0.2 % of ${count} rows are ${share.toLocaleString('en-US')}, and ${MOST} is the most`;
  if (share === size) return `0.2 % of ${count} rows`;
  if (size === LEAST)
    return `0.2 % of ${count} rows are ${share}, and ${LEAST} is the least where an epoch has ${STEPS} steps of so many`;
  return rows < STEPS ? `there are but ${count} rows` : `an epoch of ${count} rows has ${STEPS} steps then`;
}

/** Three everywhere: what the papers and the OpenAI API take for sets of instructions, whatever method and size. */
function whyEpochs({ follows, batch_size: rows }: Pick<RunConfig, 'follows' | 'batch_size'>): string {
  if (follows?.n_epochs === null)
    return `max_steps is ${follows.max_steps}, and so often do steps of ${rows} rows go through them`;
  return 'the default for every method and size; a validation file shows when it is too many';
}

const short = (x: number): number => Number(x.toPrecision(2));
/** Without the tail of a product of floats. */
const inWords = (x: number): string => String(Number(x.toPrecision(6)));
