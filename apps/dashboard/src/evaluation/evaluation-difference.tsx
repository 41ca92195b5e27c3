import type { EvaluationComparison, EvaluationTaskObject } from '@moraine/contract';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { ErrorNotice, Loading } from '../components/notice.js';
import { evaluationClient } from '../lib/evaluation-client.js';
import { digits, shortest } from '../lib/format.js';
import { keys } from '../lib/query-keys.js';
import { directionOf, figureDifference, figureValue } from './figure-text.js';

/** The difference to another evaluation of the same items, which one picks. */
export function EvaluationDifference({ evaluation }: { evaluation: EvaluationTaskObject }) {
  const [picked, setPicked] = useState<string | null>(null);
  const { id, suite, items_sha256: items } = evaluation;
  const others = useQuery({
    queryKey: keys.evaluationTasks(suite),
    queryFn: ({ signal }) =>
      evaluationClient.call('listEvaluationTasks', { query: { suite, status: 'succeeded', limit: 100 }, signal }),
  });
  const same = others.data?.data.filter((one) => one.id !== id && one.items_sha256 === items) ?? [];
  // The base of the same items says what training did, so it is shown first.
  const baseline = picked ?? (same.find(({ tuned }) => tuned === null) ?? same[0])?.id ?? null;
  const comparison = useQuery({
    queryKey: keys.evaluationDifference(id, baseline ?? ''),
    queryFn: ({ signal }) =>
      evaluationClient.call('compareEvaluations', {
        params: { id },
        query: { with: baseline ?? '', limit: 20 },
        signal,
      }),
    enabled: baseline !== null,
  });
  if (!others.data) return null;
  return (
    <section className="block">
      <h2>Difference</h2>
      {baseline === null ? (
        <p className="weak">
          No other evaluation has asked the same items. Ask them of the base, to see what training did.
        </p>
      ) : (
        <p>
          <label>
            Compared with{' '}
            <select value={baseline} onChange={(event) => setPicked(event.target.value)}>
              {same.map((one) => (
                <option key={one.id} value={one.id}>
                  {one.model}
                  {one.tuned ? `, λ ${shortest(one.lambda)}` : ''} ({one.id})
                </option>
              ))}
            </select>
          </label>
        </p>
      )}
      {comparison.error && <ErrorNotice error={comparison.error} what="difference" />}
      {baseline !== null && !comparison.data && !comparison.error && <Loading what="the difference" />}
      {comparison.data && <Difference comparison={comparison.data} />}
    </section>
  );
}

const TONES = { better: 'tone-good', worse: 'tone-bad', none: '' } as const;
const WORDS = {
  better: 'better',
  worse: 'worse',
  none: 'not told apart: the interval holds 0',
} as const;

function Difference({ comparison }: { comparison: EvaluationComparison }) {
  const { metric, n, value, baseline_value, difference, interval, verdicts, items } = comparison;
  const direction = directionOf(metric, interval);
  const [low, high] = interval;
  return (
    <>
      <p className="num">
        {metric}: {figureValue(metric, baseline_value)} → {figureValue(metric, value)},{' '}
        <span className={TONES[direction]}>
          {figureDifference(metric, difference)} ({WORDS[direction]})
        </span>
        <span className="weak">
          {' '}
          · 95 % {figureDifference(metric, low)} to {figureDifference(metric, high)}, paired bootstrap over{' '}
          {n.toLocaleString('en-US')} items
        </span>
      </p>
      {verdicts && (
        <p className="num weak">
          Both right {verdicts.both_right}, only this one {verdicts.only_evaluation}, only the other{' '}
          {verdicts.only_baseline}, both wrong {verdicts.both_wrong}; McNemar's exact p {digits(verdicts.p)}
        </p>
      )}
      <div className="scroll-x">
        <table aria-label="Items that differ most">
          <thead>
            <tr>
              <th>Item</th>
              <th className="right">Other</th>
              <th className="right">This</th>
              <th>Prompt</th>
              <th>Other's answer</th>
              <th>This one's answer</th>
            </tr>
          </thead>
          <tbody>
            {items.map((item) => (
              <tr key={item.index}>
                <td>{item.id}</td>
                <td className="right num">{figureValue(metric, item.baseline)}</td>
                <td className="right num">{figureValue(metric, item.value)}</td>
                <td className="clip-cell" title={item.prompt}>
                  {item.prompt}
                </td>
                <td className="clip-cell" title={item.baseline_answer ?? ''}>
                  {item.baseline_answer ?? '–'}
                </td>
                <td className="clip-cell" title={item.answer ?? ''}>
                  {item.answer ?? '–'}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}
