import type { ExperimentVerdict as Verdict } from '@moraine/contract/experiments';
import { Link } from 'react-router';
import { Command } from '../components/bits.js';
import { duration, shortest } from '../lib/format.js';
import { change } from './result-text.js';

/** What to use of all that was trained, or that nothing is better than the base. */
export function ExperimentVerdict({ verdict }: { verdict: Verdict }) {
  const { decision, reason, chosen, forgotten, seconds, next_command: next } = verdict;
  return (
    <section className="block" aria-label="Verdict">
      <h2>Verdict</h2>
      <p>
        <span className={decision === 'use' ? 'tone-good' : 'tone-warn'}>
          {decision === 'use' ? 'Use it' : 'Do not use'}
        </span>
        : {reason}.
      </p>
      {chosen && (
        <p className="weak num wrap">
          Chosen on validation rows: <Link to={`/runs/${chosen.run_id}`}>{chosen.arm}</Link> at rate{' '}
          {shortest(chosen.learning_rate)}, step {chosen.step.toLocaleString('en-US')}, λ {shortest(chosen.lambda)}
          {forgotten && ` · forgotten ${change(forgotten.mean)} bits per byte`} · {duration(seconds)} of training
        </p>
      )}
      {next && <Command text={`npx ${next}`} />}
    </section>
  );
}
