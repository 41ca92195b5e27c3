import { type EvaluationObject, isTerminal, type RunObject } from '@moraine/contract';
import { ErrorNotice, Loading, Notice } from '../components/notice.js';
import { digits, percent } from '../lib/format.js';
import { type EvaluationGroup, groupEvaluations } from './evaluation-groups.js';

/** How well the run does on each file, before, on the way and after, and what it writes. */
export function RunEvaluations({
  run,
  query,
}: {
  run: RunObject;
  query: { data?: EvaluationObject[]; error: unknown };
}) {
  if (!query.data)
    return query.error ? <ErrorNotice error={query.error} what="evaluations" /> : <Loading what="evaluations" />;
  const groups = groupEvaluations(query.data, run.result_step);
  if (groups.length === 0)
    return (
      <Notice title="Nothing has been evaluated">
        <p>
          {isTerminal(run.status)
            ? 'The run had no file to evaluate, or ended before its first evaluation.'
            : 'The first evaluation comes before the first step.'}{' '}
          Name files in <code>evaluation.files</code> when you create a run, and they are evaluated before its first and
          after its last step.
        </p>
      </Notice>
    );
  return groups.map((group) => <File key={group.key} group={group} />);
}

function File({ group: { name, role, all, last } }: { group: EvaluationGroup }) {
  return (
    <section className="block">
      <h2 className="clip" title={name}>
        {name} <span className="label">{role}</span>{' '}
        <span className="weak num">{last.rows.toLocaleString('en-US')} rows</span>
      </h2>
      <div className="scroll-x narrow">
        <table>
          <thead>
            <tr>
              <th className="right">Step</th>
              <th className="right">Loss</th>
              <th className="right">Token accuracy</th>
              <th className="right">Exact match</th>
            </tr>
          </thead>
          <tbody>
            {all.map((evaluation) => (
              <tr key={evaluation.id}>
                <td className="right num">{evaluation.step.toLocaleString('en-US')}</td>
                <td className="right num">{digits(evaluation.loss, 4)}</td>
                <td className="right num">{percent(evaluation.token_accuracy, 1)}</td>
                <td className="right num">{percent(evaluation.exact_match, 1)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {last.samples.length > 0 && (
        <ul className="samples" aria-label={`Samples at step ${last.step}`}>
          {last.samples.map((sample) => (
            <li key={sample.prompt}>
              <dl>
                <dt className="label">Prompt</dt>
                <dd>{sample.prompt}</dd>
                <dt className="label">Expected</dt>
                <dd>{sample.expected}</dd>
                <dt
                  className={`label ${sample.generated.trim() === sample.expected.trim() ? 'tone-good' : 'tone-bad'}`}
                >
                  {sample.generated.trim() === sample.expected.trim() ? 'Generated, equal' : 'Generated, different'}
                </dt>
                <dd>{sample.generated || <span className="weak">nothing</span>}</dd>
              </dl>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
