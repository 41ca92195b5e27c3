import { type EvaluationObject, isTerminal, type RunObject } from '@moraine/contract';
import { digits, percent, signed } from '../lib/format.js';
import { type Change, changeOf, type EvaluationGroup, groupEvaluations } from './evaluation-groups.js';

type Role = EvaluationObject['role'];

const HEADINGS: Record<Role, { title: string; measures: string }> = {
  target: { title: 'What it learned', measures: 'learned' },
  source: { title: 'What was forgotten', measures: 'kept' },
};

/** What the run was for and what it cost: files of either role, before the first step and for its result, which is the newest evaluation until there is one. */
export function RunResults({ run, evaluations }: { run: RunObject; evaluations: readonly EvaluationObject[] }) {
  const groups = groupEvaluations(evaluations, run.result_step);
  return (['target', 'source'] as const).map((role) => {
    const ofRole = groups.filter((group) => group.role === role);
    return (
      <section className="block" key={role}>
        <h2>{HEADINGS[role].title}</h2>
        {ofRole.length > 0 ? <Results of={role} groups={ofRole} /> : <NoResults of={role} run={run} />}
      </section>
    );
  });
}

/** Why there is nothing of a role: it comes yet, the run ended before, or nobody asked for it. */
function NoResults({ of: role, run }: { of: Role; run: RunObject }) {
  const { files, roles } = run.config.evaluation;
  if (files.some((file) => (roles?.[file] ?? 'target') === role))
    return (
      <p className="weak">
        {isTerminal(run.status)
          ? 'The run ended before its first evaluation.'
          : 'Evaluated before the first step and after the last; nothing has been evaluated yet.'}
      </p>
    );
  return (
    <p className="weak">
      Not measured: give <code>evaluation.files</code> a file of what should be {HEADINGS[role].measures},{' '}
      <code>{`{"file_id": "file-…", "role": "${role}"}`}</code>.
    </p>
  );
}

const WORDS: Record<Role, Record<Change['direction'], string>> = {
  target: { better: 'learned', worse: 'worse', same: 'unchanged' },
  source: { better: 'improved', worse: 'forgotten', same: 'kept' },
};

const TONES: Record<Change['direction'], string> = { better: 'tone-good', worse: 'tone-bad', same: 'weak' };

const points = (share: number): string => `${signed(share * 100)} pt`;

function Results({ of: role, groups }: { of: Role; groups: readonly EvaluationGroup[] }) {
  return (
    <div className="scroll-x">
      <table data-role={role}>
        <thead>
          <tr>
            <th>File</th>
            <th className="right">Loss</th>
            <th className="right">Δ</th>
            <th className="right">Exact match</th>
            <th className="right">Δ</th>
            <th>Outcome</th>
          </tr>
        </thead>
        <tbody>
          {groups.map(({ key, name, first, last }) => {
            const loss = first === last ? null : changeOf(first.loss, last.loss, 'lower');
            const exact = first === last ? null : changeOf(first.exact_match, last.exact_match, 'higher');
            return (
              <tr key={key}>
                <td className="clip-cell" title={name}>
                  {name}
                </td>
                <Measure change={loss} first={first.loss} show={digits} showDelta={signed} />
                <Measure change={exact} first={first.exact_match} show={percent} showDelta={points} />
                <td className={loss ? TONES[loss.direction] : 'weak'}>{loss ? WORDS[role][loss.direction] : '–'}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

interface MeasureProps {
  change: Change | null;
  first: number | null;
  show: (value: number | null) => string;
  showDelta: (value: number) => string;
}

/** A measure before and after, and what lies between them with its sign. */
const Measure = ({ change, first, show, showDelta }: MeasureProps) => (
  <>
    <td className="right num">
      <span className="weak">{show(first)}</span>
      {change && ` → ${show(change.after)}`}
    </td>
    <td className={`right num ${change ? TONES[change.direction] : 'weak'}`}>
      {change ? showDelta(change.delta) : '–'}
    </td>
  </>
);
