import { isTerminal, type RunObject } from '@moraine/contract';
import { type AnalysisCourse, coursePanels } from '@moraine/contract/analyses';
import { ANALYSIS_ROUTES } from '@moraine/contract/routes/analyses';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { ErrorNotice, Loading, Notice } from '../components/notice.js';
import { Panels } from '../figures/panels.js';
import { clientOf } from '../lib/client.js';
import { keys } from '../lib/query-keys.js';

const client = clientOf(ANALYSIS_ROUTES);

const KINDS = [
  ['weights', 'How the weights changed'],
  ['canaries', 'What was memorised'],
] as const;
type Kind = AnalysisCourse['kind'];

/** What analyses measured of a run, over its checkpoints and over its layers; new ones come while the page is open. */
export function RunAnalyses({ run }: { run: RunObject }) {
  const weights = useCourse(run, 'weights');
  const canaries = useCourse(run, 'canaries');
  const courses = { weights, canaries };
  const error = weights.error ?? canaries.error;
  if (!weights.data || !canaries.data)
    return error ? <ErrorNotice error={error} what="analyses" /> : <Loading what="the analyses" />;
  if (isEmpty(weights.data) && isEmpty(canaries.data)) return <NothingAsked />;
  return KINDS.map(([kind, title]) => {
    const { data, choose } = courses[kind];
    return data && !isEmpty(data) && <Course key={kind} title={title} course={data} onChoose={choose} />;
  });
}

const isEmpty = ({ analyses, waiting, others }: AnalysisCourse): boolean =>
  analyses.length + waiting + others.length === 0;

/** A course of one kind, and how to see other settings of it: those of an analysis. */
function useCourse(run: RunObject, kind: Kind) {
  const [analysis, choose] = useState<string>();
  const { data, error } = useQuery({
    queryKey: keys.analyses(run.id, kind, analysis),
    queryFn: ({ signal }) =>
      client.call('getRunAnalyses', { params: { id: run.id }, query: { kind, analysis }, signal }),
    refetchInterval: ({ state }) => (isTerminal(run.status) && state.data?.waiting === 0 ? false : 5000),
    placeholderData: keepPreviousData,
  });
  return { data, error, choose };
}

const NothingAsked = () => (
  <Notice title="Nothing has been measured">
    <p>
      Ask for it in <code>evaluation.analyses</code> when you create a run,{' '}
      <code>{'[{"kind": "weights", "when": ["during", "after"]}]'}</code>, or measure a checkpoint of this one:{' '}
      <code>npx moraine analyses create</code>.
    </p>
  </Notice>
);

function Course({
  title,
  course,
  onChoose,
}: {
  title: string;
  course: AnalysisCourse;
  onChoose: (analysis: string) => void;
}) {
  const { analyses, waiting, others, lambda } = course;
  const { training, layers } = coursePanels(course);
  const steps = analyses.map(({ step }) => step.toLocaleString('en-US')).join(', ');
  return (
    <>
      <section className="block" aria-label={title}>
        <h2>{title}</h2>
        <p className="weak">
          {analyses.length === 0 ? 'Nothing is measured yet' : `Measured at step ${steps}, λ ${lambda}`}
          {waiting > 0 && `; ${waiting} more to come`}.
          {course.kind === 'weights' && ' Dashed: normal numbers with the norm of the update.'}
        </p>
        <p>
          {others.map((other) => (
            <button type="button" key={other.analysis} onClick={() => onChoose(other.analysis)}>
              {`Other settings: λ ${other.lambda}, ${other.steps} steps`}
            </button>
          ))}
          {analyses.length > 0 && <Files course={course} />}
        </p>
      </section>
      <Panels title={`${title}: over training`} panels={training} />
      <Panels title={`${title}: over layers`} panels={layers} />
    </>
  );
}

function Files({ course: { run_id: id, kind, analyses } }: { course: AnalysisCourse }) {
  const query = { kind, analysis: analyses.findLast(({ step }) => step > 0)?.id };
  return (['svg', 'csv', 'md'] as const).map((format) => (
    <a
      key={format}
      className="button"
      download={`${id}-${kind}.${format}`}
      href={client.url('getRunAnalyses', { params: { id }, query: { ...query, format } })}
    >
      {format.toUpperCase()}
    </a>
  ));
}
