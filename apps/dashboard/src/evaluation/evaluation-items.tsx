import type { EvaluationTaskObject } from '@moraine/contract';
import type { EvaluationItem } from '@moraine/contract/suites';
import { useInfiniteQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { ErrorNotice, Loading } from '../components/notice.js';
import { evaluationClient } from '../lib/evaluation-client.js';
import { digits } from '../lib/format.js';
import { keys } from '../lib/query-keys.js';
import { ITEMS_PAGE } from './added-items.js';

const VERDICTS = [
  ['', 'All'],
  ['right', 'Right'],
  ['wrong', 'Wrong'],
] as const;
type Verdict = (typeof VERDICTS)[number][0];

/** Every item with what the model gave for it, a page at a time. */
export function EvaluationItems({ evaluation }: { evaluation: EvaluationTaskObject }) {
  const [verdict, setVerdict] = useState<Verdict>('');
  const { id, sampling } = evaluation;
  const pages = useInfiniteQuery({
    queryKey: keys.evaluationItems(id, verdict),
    queryFn: ({ pageParam, signal }) =>
      evaluationClient.call('listEvaluationItems', {
        params: { id },
        query: {
          limit: ITEMS_PAGE,
          after: pageParam,
          ...(verdict === '' ? {} : { verdict }),
          ...(sampling === null ? {} : { include: 'samples' as const }),
        },
        signal,
      }),
    initialPageParam: undefined as number | undefined,
    getNextPageParam: (page) => (page.has_more ? page.data.at(-1)?.index : undefined),
    staleTime: Number.POSITIVE_INFINITY,
  });
  const items = pages.data?.pages.flatMap(({ data }) => data);
  return (
    <section className="block">
      <h2>Items</h2>
      <p>
        <label>
          Verdict{' '}
          <select value={verdict} onChange={(event) => setVerdict(event.target.value as Verdict)}>
            {VERDICTS.map(([value, word]) => (
              <option key={value} value={value}>
                {word}
              </option>
            ))}
          </select>
        </label>
      </p>
      {!items && (pages.error ? <ErrorNotice error={pages.error} what="items" /> : <Loading what="items" />)}
      {items?.length === 0 && <p className="weak">There are none.</p>}
      <ul className="samples" aria-label="Items">
        {items?.map((item) => (
          <li key={item.index}>
            <Item item={item} />
          </li>
        ))}
      </ul>
      {pages.hasNextPage && (
        <button type="button" disabled={pages.isFetchingNextPage} onClick={() => void pages.fetchNextPage()}>
          Show more
        </button>
      )}
    </section>
  );
}

function Item({ item }: { item: EvaluationItem }) {
  const { id, prompt, choices, scores, answer, expected, verdict, samples } = item;
  return (
    <dl>
      <dt className="label">Item {id}</dt>
      <dd>{prompt}</dd>
      {choices && scores ? (
        <>
          <dt className="label">Log-probability</dt>
          <dd>{choices.map((choice, at) => `${digits(scores[at], 5).padStart(9)}  ${choice}`).join('\n')}</dd>
        </>
      ) : null}
      {expected !== null && (
        <>
          <dt className="label">Expected</dt>
          <dd>{expected}</dd>
        </>
      )}
      {samples && <Samples samples={samples} />}
      {answer !== null && !samples && (
        <>
          <dt className={`label ${verdict === 'right' ? 'tone-good' : verdict === 'wrong' ? 'tone-bad' : ''}`}>
            {verdict === null ? 'Answer' : `Answer, ${verdict}`}
          </dt>
          <dd>{answer || <span className="weak">nothing</span>}</dd>
        </>
      )}
    </dl>
  );
}

/** Every answer that was drawn, equal ones together, the most frequent first. */
function Samples({ samples }: { samples: NonNullable<EvaluationItem['samples']> }) {
  const counts = new Map<string, { verdict: 'right' | 'wrong'; times: number }>();
  for (const { answer, verdict } of samples)
    counts.set(answer, { verdict, times: (counts.get(answer)?.times ?? 0) + 1 });
  const right = samples.filter(({ verdict }) => verdict === 'right').length;
  return (
    <>
      <dt className="label">
        Samples, {right} of {samples.length} right
      </dt>
      <dd>
        <ul>
          {[...counts]
            .sort(([, a], [, b]) => b.times - a.times)
            .map(([answer, { verdict, times }]) => (
              <li key={answer}>
                <span className={verdict === 'right' ? 'tone-good' : 'tone-bad'}>
                  {times} × {verdict}
                </span>{' '}
                {answer || <span className="weak">nothing</span>}
              </li>
            ))}
        </ul>
      </dd>
    </>
  );
}
