import type { EvaluationObject, RunObject } from '@moraine/contract';
import type { Client } from '@moraine/contract/client';
import { type Column, paint, table } from '../terminal.js';
import type { DemoMethod, TaskFile } from './plan.js';

/** What one run measured: each evaluated file before the first step and after the last, and what training cost. */
export interface RunReport {
  method: DemoMethod;
  run: RunObject;
  before: Partial<Record<TaskFile, EvaluationObject>>;
  after: Partial<Record<TaskFile, EvaluationObject>>;
  tokensPerSecond: number | null;
  trainingSeconds: number | null;
}

/** Collects the evaluations and speed of a finished run. */
export async function reportOf(
  client: Client,
  id: string,
  method: DemoMethod,
  ids: Record<TaskFile, string>,
): Promise<RunReport> {
  const [run, { data }, metrics] = await Promise.all([
    client.call('getRun', { params: { id } }),
    client.call('listRunEvaluations', { params: { id } }),
    client.call('getRunMetrics', { params: { id }, query: { names: 'step_ms', buckets: 20_000 } }),
  ]);
  const pick = (choose: (steps: number[]) => number): Partial<Record<TaskFile, EvaluationObject>> => {
    const evaluations: Partial<Record<TaskFile, EvaluationObject>> = {};
    for (const role of ['heldout', 'newnames', 'closedBook', 'source'] as const) {
      const of = data.filter((evaluation) => evaluation.file_id === ids[role]);
      const step = choose(of.map((evaluation) => evaluation.step));
      evaluations[role] = of.find((evaluation) => evaluation.step === step);
    }
    return evaluations;
  };
  const points = metrics.series.find(({ name }) => name === 'step_ms')?.points ?? [];
  const trainingSeconds = points.length === 0 ? null : points.reduce((sum, { n, mean }) => sum + n * mean, 0) / 1000;
  return {
    method,
    run,
    before: pick((steps) => Math.min(...steps)),
    after: pick((steps) => Math.max(...steps)),
    trainingSeconds,
    tokensPerSecond: trainingSeconds && run.trained_tokens ? run.trained_tokens / trainingSeconds : null,
  };
}

const percent = (share: number | null | undefined): string =>
  share === null || share === undefined ? '' : `${(share * 100).toFixed(1)} %`;
const loss = (evaluation: EvaluationObject | undefined): string => evaluation?.loss.toFixed(3) ?? '';
const change = (before: string, after: string): string => (before === '' && after === '' ? '' : `${before} → ${after}`);

const COLUMNS: Column[] = [
  { title: '' },
  ...[
    'held-out loss',
    'exact',
    'new-name loss',
    'exact',
    'closed-book',
    'source loss',
    'trainable',
    'tokens/s',
    'seconds',
  ].map((title): Column => ({ title, align: 'right' })),
];

/** The table of the demo: the base and each adapter. */
export function resultTable(reports: RunReport[]): string {
  const base = reports.find(({ before }) => before.heldout)?.before ?? {};
  const baseRow = [
    'base',
    loss(base.heldout),
    percent(base.heldout?.exact_match),
    loss(base.newnames),
    percent(base.newnames?.exact_match),
    percent(base.closedBook?.exact_match),
    loss(base.source),
  ];
  const rows = reports.map(({ method, run, before, after, tokensPerSecond, trainingSeconds }) => [
    run.status === 'succeeded' ? method.label : `${method.label} (${run.status})`,
    loss(after.heldout),
    percent(after.heldout?.exact_match),
    loss(after.newnames),
    percent(after.newnames?.exact_match),
    change(percent(before.closedBook?.exact_match), percent(after.closedBook?.exact_match)),
    change(loss(before.source), loss(after.source)),
    run.config.trainable_parameters.toLocaleString('en'),
    tokensPerSecond === null ? '' : Math.round(tokensPerSecond).toLocaleString('en'),
    trainingSeconds === null ? '' : trainingSeconds.toFixed(0),
  ]);
  return table(COLUMNS, [baseRow, ...rows]);
}

/** What the columns mean, and what the table does not say. */
export function legend(reports: RunReport[], heldoutRows: number, newnameRows: number): string {
  const rates = reports.map(({ method }) => `${method.label} ${method.learningRate}`).join(', ');
  return [
    `held-out: ${heldoutRows} rows that were not trained on. new-name: ${newnameRows} rows whose names the base never saw.`,
    'exact: share of rows whose whole answer comes out right, end included. Loss in nats per token.',
    'closed-book and source, before → after: questions the base knows by heart and text of its own kind. What falls there was forgotten.',
    `Each method ran once, at one learning rate (${rates}): this shows that they learn, and ranks nobody.`,
  ].join('\n');
}

/** A model that has not learned when to stop would fill the screen. */
const SAMPLE_LETTERS = 120;
export const oneLine = (words: string): string => {
  const line = words.trim().replaceAll('\n', ' ⏎ ');
  return line.length > SAMPLE_LETTERS ? `${line.slice(0, SAMPLE_LETTERS)}…` : line;
};

/** The same three held-out rows as the base and each adapter complete them. */
export function samples(reports: RunReport[]): string {
  const width = Math.max(8, ...reports.map(({ method }) => method.label.length));
  const row = (who: string, words: string): string => `  ${paint('dim', who.padEnd(width))}  ${oneLine(words)}`;
  const expectations = reports.find(({ before }) => before.heldout)?.before.heldout?.samples ?? [];
  return expectations
    .slice(0, 3)
    .map(({ prompt, expected, generated }, i) =>
      [
        row('prompt', prompt),
        row('expected', expected),
        row('base', generated),
        ...reports.map(({ method, after }) => {
          const answer = after.heldout?.samples[i]?.generated;
          const isRight = answer !== undefined && answer.trim() === expected.trim();
          return `${row(method.label, answer ?? '')}${isRight ? paint('green', '  ✓') : ''}`;
        }),
      ].join('\n'),
    )
    .join('\n\n');
}

/**
 * Whether the demo showed what it promises: every run succeeded, and on the held-out rows each adapter answers more rows exactly than the
 * base. In the short form, where no answer can be right yet: the loss on them fell.
 */
export function verdict(reports: RunReport[], isShort: boolean): { isGood: boolean; problems: string[] } {
  const problems = reports.flatMap(({ method, run, before, after }) => {
    if (run.status !== 'succeeded')
      return [`${method.label} ended as ${run.status}: ${run.error?.message ?? 'no reason given'}`];
    const [was, is] = [before.heldout, after.heldout];
    if (!was || !is || was.step === is.step) return [`${method.label} has no evaluation before and after training`];
    if (isShort)
      return is.loss < was.loss ? [] : [`${method.label}: the held-out loss did not fall (${was.loss} → ${is.loss})`];
    const [right, rightBefore] = [is.exact_match ?? 0, was.exact_match ?? 0];
    return right > rightBefore
      ? []
      : [`${method.label}: exact match on held-out rows did not rise (${percent(rightBefore)} → ${percent(right)})`];
  });
  return { isGood: problems.length === 0, problems };
}
