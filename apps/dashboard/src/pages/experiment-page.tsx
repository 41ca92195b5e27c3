import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useParams } from 'react-router';
import { ErrorNotice, Loading } from '../components/notice.js';
import '../experiment/experiment.css';
import type { ExperimentObject } from '@moraine/contract';
import { ExperimentFigures } from '../experiment/experiment-figures.js';
import { ExperimentFiles } from '../experiment/experiment-files.js';
import { ExperimentHeader } from '../experiment/experiment-header.js';
import { ExperimentRuns } from '../experiment/experiment-runs.js';
import { isOver } from '../experiment/experiment-status.js';
import { ExperimentTable } from '../experiment/experiment-table.js';
import { ExperimentVerdict } from '../experiment/experiment-verdict.js';
import { useTitle } from '../hooks/use-title.js';
import { experimentClient } from '../lib/experiment-client.js';
import { keys } from '../lib/query-keys.js';

/** One experiment: the verdict, its arms, the search of the rates, the plane, and every run; live while runs go on. */
export function ExperimentPage() {
  const { id = '' } = useParams();
  const { data, error } = useQuery({
    queryKey: keys.experiment(id),
    queryFn: ({ signal }) => experimentClient.call('getExperiment', { params: { id }, signal }),
    refetchInterval: ({ state }) => (state.data && isOver(state.data.status) ? 15_000 : 2000),
  });
  useTitle(data?.name ?? id, ...(data ? ['Experiment'] : []));
  if (!data) return error ? <ErrorNotice error={error} what="experiment" /> : <Loading what="the experiment" />;
  return (
    <section className="page" aria-label="Experiment">
      <ExperimentHeader experiment={data} />
      <div className="scroll">
        <Results experiment={data} />
        <ExperimentRuns cells={data.cells} />
        <ExperimentFiles experiment={data} />
      </div>
    </section>
  );
}

/** What was measured so far. A change of status asks anew: the last scores come with it. */
function Results({ experiment }: { experiment: ExperimentObject }) {
  const { id, status } = experiment;
  const { data, error } = useQuery({
    queryKey: keys.experimentResults(id, status),
    queryFn: async ({ signal }) => {
      const asked = { params: { id }, signal };
      const [table, curves, frontier, verdict] = await Promise.all([
        experimentClient.call('getExperimentTable', asked),
        experimentClient.call('getExperimentCurves', asked),
        experimentClient.call('getExperimentFrontier', asked),
        status === 'succeeded' ? experimentClient.call('getExperimentVerdict', asked) : null,
      ]);
      return { table, curves, frontier, verdict };
    },
    refetchInterval: isOver(status) ? false : 3000,
    placeholderData: keepPreviousData,
  });
  if (!data) return error ? <ErrorNotice error={error} what="results" /> : <Loading what="the results" />;
  return (
    <>
      {data.verdict && <ExperimentVerdict verdict={data.verdict} />}
      <ExperimentTable table={data.table} experiment={experiment} />
      <ExperimentFigures curves={data.curves} frontier={data.frontier} />
    </>
  );
}
