import type { ExperimentObject } from '@moraine/contract';
import type { ExperimentTable as Table, TableRow } from '@moraine/contract/experiments';
import { duration, shortest } from '../lib/format.js';
import { amount, change, figureText } from './result-text.js';

const PHASES = { search: 'searching the rate', final: 'final seeds', done: 'done', failed: 'failed' } as const;

/** A row an arm, on test rows; below it why arms are not comparable, and what the figures hold up. */
export function ExperimentTable({ table, experiment }: { table: Table; experiment: ExperimentObject }) {
  const { rows, metric, unit, lower_is_better: isLower, not_comparable: reasons, claims } = table;
  const first = rows[0]?.arm ?? 'first';
  return (
    <section className="block" aria-label="Arms">
      <h2>
        Arms{' '}
        <span className="weak">
          {metric.replaceAll('_', ' ')} on test rows, {unit}; {isLower ? 'lower' : 'higher'} is better
        </span>
      </h2>
      <div className="scroll-x">
        <table aria-label="Arms">
          <thead>
            <tr>
              <th>Arm</th>
              <th className="right">Trains</th>
              <th className="right">Rate</th>
              <th className="right">Base</th>
              <th className="right">Learned</th>
              <th className="right">Forgotten, bits per byte</th>
              <th className="right">Learned − {first}</th>
              <th className="right">Seeds</th>
              <th className="right">Training</th>
              <th>State</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <Row key={row.arm} row={row} phase={experiment.arms.find(({ name }) => name === row.arm)?.phase} />
            ))}
          </tbody>
        </table>
      </div>
      <Intervals rows={rows} />
      {reasons.length > 0 && (
        <ul className="reasons" aria-label="Not comparable">
          {reasons.map(({ sentence }) => (
            <li key={sentence} className="tone-warn">
              Not comparable because {sentence}.
            </li>
          ))}
        </ul>
      )}
      {claims.length > 0 && (
        <ul className="reasons" aria-label="Claims">
          {claims.map((claim) => (
            <li key={claim}>{claim}.</li>
          ))}
        </ul>
      )}
    </section>
  );
}

function Row({ row, phase }: { row: TableRow; phase: keyof typeof PHASES | undefined }) {
  const { arm, label, color, yardstick, trainable_parameters: count, learned, kept, difference, seconds } = row;
  const beside = difference?.learned ?? null;
  return (
    <tr>
      <td title={label}>
        <span className="method clip">
          <span className="swatch" style={{ background: `var(--method-${color})` }} />
          {arm}
        </span>
      </td>
      <td className="right num" title={yardstick ?? ''}>
        {count.toLocaleString('en-US')}
      </td>
      <td className={`right num ${row.is_bracketed === false ? 'tone-warn' : ''}`}>
        {row.learning_rate === null ? '–' : shortest(row.learning_rate)}
        {row.is_bracketed === false && ' · at an edge'}
      </td>
      <td className="right num weak">{amount(row.base?.mean)}</td>
      <td className="right num">{figureText(learned)}</td>
      <td className="right num" title={row.kept_reason ?? ''}>
        {figureText(kept, change)}
      </td>
      <td className="right num" title={difference?.reason ?? ''}>
        {figureText(beside, change)}
      </td>
      <td className="right num">{learned?.n ?? 0}</td>
      <td className="right num">{duration(seconds.search + seconds.final)}</td>
      <td className="weak">{phase ? PHASES[phase] : ''}</td>
    </tr>
  );
}

/** What ± is of, or why there is none. */
function Intervals({ rows }: { rows: readonly TableRow[] }) {
  const figures = rows.flatMap(({ learned }) => (learned === null ? [] : [learned]));
  if (figures.length === 0) return null;
  const without = figures.find(({ half }) => half === null)?.reason;
  return (
    <p className="weak">
      {without ? `No interval over seeds: ${without}.` : '± is half of the 95 % t-interval over the final seeds.'}
    </p>
  );
}
