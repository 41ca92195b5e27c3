import type { ExperimentCell } from '@moraine/contract';
import { Link } from 'react-router';
import { RunStateBadge } from '../components/state.js';
import { shortest } from '../lib/format.js';
import { amount } from './result-text.js';

/** Every run of it, in the order in which they were thought of. */
export function ExperimentRuns({ cells }: { cells: readonly ExperimentCell[] }) {
  return (
    <section className="block" aria-label="Runs">
      <h2>
        Runs <span className="weak num">{cells.length}</span>
      </h2>
      <div className="scroll-x">
        <table aria-label="Runs">
          <thead>
            <tr>
              <th>State</th>
              <th>Arm</th>
              <th>For</th>
              <th className="right">Rate</th>
              <th className="right">Seed</th>
              <th className="right">Step</th>
              <th className="right">Validation loss</th>
              <th>Run</th>
            </tr>
          </thead>
          <tbody>
            {cells.map((cell) => (
              <Row key={`${cell.arm} ${cell.phase} ${cell.learning_rate} ${cell.seed}`} cell={cell} />
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Row({ cell }: { cell: ExperimentCell }) {
  const { arm, phase, learning_rate: rate, seed, run_id: id, status, step, steps, score, error } = cell;
  return (
    <tr title={error ?? ''}>
      <td>
        {status ? <RunStateBadge run={{ status, state: null, verdict: null }} /> : <span className="weak">next</span>}
      </td>
      <td>{arm}</td>
      <td className="weak">{phase === 'search' ? 'the rate' : 'the figures'}</td>
      <td className="right num">{shortest(rate)}</td>
      <td className="right num">{seed}</td>
      <td className="right num">
        {step.toLocaleString('en-US')} <span className="weak">of {steps.toLocaleString('en-US')}</span>
      </td>
      <td className="right num">{amount(score)}</td>
      <td>{id ? <Link to={`/runs/${id}`}>{id}</Link> : '–'}</td>
    </tr>
  );
}
