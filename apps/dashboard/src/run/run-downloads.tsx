import type { RunObject } from '@moraine/contract';
import { Amount } from '../components/bits.js';
import { bytes } from '../lib/format.js';

const percent = (share: number): string => `${(100 * share).toPrecision(3)} %`;

/** What the run left, and how far each is from what was trained. */
export function RunDownloads({ run }: { run: RunObject }) {
  if (run.downloads.length === 0) return null;
  return (
    <section className="block">
      <h2>Downloads</h2>
      <div className="scroll-x">
        <table>
          <thead>
            <tr>
              <th>Format</th>
              <th className="right">Size</th>
              <th className="right" title="Read back and compared with what was trained: largest difference of logits">
                Differs
              </th>
              <th className="right" title="Places where the most likely token is the same">
                Agrees
              </th>
              <th className="right" title="What rounding to the type of the base loses of the change">
                Rounding
              </th>
            </tr>
          </thead>
          {run.downloads.map(({ format, bytes: size, parity, rounding, notes, problem }) => (
            <tbody key={format}>
              <tr>
                <td>{format}</td>
                <td className="right">
                  <Amount {...bytes(size)} />
                </td>
                <td className="right num" title={parity ? `of logits up to ${parity.max_logit.toPrecision(3)}` : ''}>
                  {parity?.max_logit_difference.toPrecision(2) ?? '–'}
                </td>
                <td className="right num">{parity ? percent(parity.top1_agreement) : '–'}</td>
                <td className="right num">{rounding ? percent(rounding.share) : '–'}</td>
              </tr>
              {[...notes, problem].map(
                (note) =>
                  note && (
                    <tr className="reason" key={note}>
                      <td />
                      <td colSpan={4} className={note === problem ? 'tone-bad' : 'weak'}>
                        {note}
                      </td>
                    </tr>
                  ),
              )}
            </tbody>
          ))}
        </table>
      </div>
    </section>
  );
}
