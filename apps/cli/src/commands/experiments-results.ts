import { AppError } from '@moraine/contract';
import type { Client } from '@moraine/contract/client';
import { type ExperimentResult, METRICS, type ResultMetric, renderResult } from '@moraine/contract/experiments';
import { type Arguments, oneOf } from '../args.js';
import { connect } from '../connect.js';
import { writeResult } from '../write-result.js';

/** Forms of each result, the usual one first. */
const RESULTS = {
  table: { formats: ['md', 'csv', 'json'], hasMetric: true },
  curves: { formats: ['svg', 'csv', 'json'], hasMetric: false },
  frontier: { formats: ['md', 'svg', 'csv', 'json'], hasMetric: true },
  report: { formats: ['md', 'json'], hasMetric: true },
} as const;
export type ResultName = keyof typeof RESULTS;

/** Prints a result of an experiment, or writes it to the file of `--out`. */
export async function showResult(args: Arguments, name: ResultName, id: string): Promise<number> {
  const { formats, hasMetric } = RESULTS[name];
  const [usual, ...others] = formats;
  const format = oneOf(args, 'format', formats) ?? (args.options.json ? 'json' : usual);
  const metric = oneOf(args, 'metric', METRICS);
  if (metric !== undefined && !hasMetric)
    throw new AppError('invalid_request', `--metric does not belong to ${name}, which has every metric.`, {
      hint: `Leave it out; --format takes ${[usual, ...others].join(', ')}.`,
    });
  const result = await readResult(connect(args), name, id, metric);
  const rendered = format === 'json' ? null : renderResult(result, format, id);
  const written = rendered ?? `${JSON.stringify(result)}\n`;
  return writeResult(args, written);
}

function readResult(
  client: Client,
  name: ResultName,
  id: string,
  metric: ResultMetric | undefined,
): Promise<ExperimentResult> {
  const asked = { params: { id }, query: { metric } };
  switch (name) {
    case 'table':
      return client.call('getExperimentTable', asked);
    case 'curves':
      return client.call('getExperimentCurves', { params: { id }, query: {} });
    case 'frontier':
      return client.call('getExperimentFrontier', asked);
    case 'report':
      return client.call('getExperimentReport', asked);
  }
}
