import type { EvaluationObject } from '@moraine/contract';
import { digits, percent, signed } from '../lib/format.js';
import { type Change, changeOf, type EvaluationGroup, groupEvaluations } from './evaluation-groups.js';

type Role = EvaluationObject['role'];

/** What the run was for and what it cost: files of either role, before the first step and at the newest evaluation. */
export function RunResults({ evaluations }: { evaluations: readonly EvaluationObject[] }) {
  const groups = groupEvaluations(evaluations);
  const filesOf = (role: Role): EvaluationGroup[] => groups.filter((group) => group.role === role);
  return (
    <>
      <section className="block">
        <h2>What it learned</h2>
        {filesOf('target').length === 0 ? (
          <p className="weak">
            {groups.length === 0
              ? 'Evaluated before the first step and after the last; nothing has been evaluated yet.'
              : 'No file with the role target was evaluated.'}
          </p>
        ) : (
          <Results of="target" groups={filesOf('target')} />
        )}
      </section>
      <section className="block">
        <h2>What was forgotten</h2>
        {filesOf('source').length === 0 ? (
          <p className="weak">
            Not measured: give <code>evaluation.files</code> a file of what should be kept,{' '}
            <code>{'{"file_id": "file-…", "role": "source"}'}</code>.
          </p>
        ) : (
          <Results of="source" groups={filesOf('source')} />
        )}
      </section>
    </>
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
