import type { RunObject } from '@moraine/contract';
import { useQuery } from '@tanstack/react-query';
import { lazy, type ReactNode, useRef } from 'react';
import { NavLink, useLocation, useParams } from 'react-router';
import { ErrorNotice, Loading, Notice } from '../components/notice.js';
import { stateWord } from '../components/state.js';
import { type Feed, useRun, useRunFeed } from '../hooks/use-run.js';
import { useScrollPlace } from '../hooks/use-scroll-place.js';
import { useTitle } from '../hooks/use-title.js';
import { client } from '../lib/client.js';
import { keys } from '../lib/query-keys.js';
import { runName } from '../lib/run-filter.js';
import { RunCharts } from '../run/run-charts.js';
import { RunCheckpoints } from '../run/run-checkpoints.js';
import { RunConfiguration } from '../run/run-configuration.js';
import { RunEvaluations } from '../run/run-evaluations.js';
import { RunEventList } from '../run/run-events.js';
import { RunHeader } from '../run/run-header.js';
import { RunOverview } from '../run/run-overview.js';

/** With what draws them. */
const RunAnalyses = lazy(async () => ({ default: (await import('../run/run-analyses.js')).RunAnalyses }));
/** With the library that measures its lines. */
const RunLogs = lazy(async () => ({ default: (await import('../run/run-logs.js')).RunLogs }));

const TABS = [
  ['', 'Charts'],
  ['overview', 'Overview'],
  ['evaluations', 'Evaluations'],
  ['analyses', 'Analyses'],
  ['checkpoints', 'Checkpoints'],
  ['events', 'Events'],
  ['configuration', 'Configuration'],
  ['logs', 'Logs'],
] as const;

/** One run: what it does now in the header, everything about it in the tabs. The stream stays open across tabs. */
export function RunPage() {
  const { id = '', tab = '' } = useParams();
  const run = useRun(id);
  const feed = useRunFeed(run.data);
  useTitle(...(run.data ? [runName(run.data), stateWord(run.data)] : [id]));
  if (!run.data) return run.error ? <ErrorNotice error={run.error} what="run" /> : <Loading what="the run" />;
  return (
    <section className="page run" aria-label="Run">
      <RunHeader run={run.data} feed={feed.feed} />
      <Tabs id={id} tab={tab} />
      <Scroller key={tab}>
        <TabBody run={run.data} tab={tab} feed={feed} />
      </Scroller>
    </section>
  );
}

/** A tab's content, where it was left. */
function Scroller({ children }: { children: ReactNode }) {
  const scroller = useRef<HTMLDivElement>(null);
  useScrollPlace(scroller);
  return (
    <div className="scroll tab-body" ref={scroller}>
      {children}
    </div>
  );
}

function Tabs({ id, tab }: { id: string; tab: string }) {
  const { search } = useLocation();
  return (
    <nav className="tabs" aria-label="Run">
      {TABS.map(([path, word]) => (
        <NavLink
          key={path}
          end
          to={{ pathname: `/runs/${id}${path && `/${path}`}`, search: path === '' || tab === '' ? search : '' }}
        >
          {word}
        </NavLink>
      ))}
    </nav>
  );
}

function TabBody({ run, tab, feed }: { run: RunObject; tab: string; feed: Feed }): ReactNode {
  const { id } = run;
  const checkpoints = useQuery({
    queryKey: keys.checkpoints(id),
    queryFn: ({ signal }) => client.call('listRunCheckpoints', { params: { id }, query: { limit: 100 }, signal }),
    select: ({ data }) => data,
  });
  const evaluations = useQuery({
    queryKey: keys.evaluations(id),
    queryFn: ({ signal }) => client.call('listRunEvaluations', { params: { id }, signal }),
    select: ({ data }) => data,
    enabled: tab === 'evaluations' || tab === 'overview',
  });
  switch (tab) {
    case '':
      return <RunCharts run={run} checkpoints={checkpoints.data ?? []} feed={feed} />;
    case 'overview':
      return <RunOverview run={run} evaluations={evaluations.data ?? []} />;
    case 'evaluations':
      return <RunEvaluations run={run} query={evaluations} />;
    case 'analyses':
      return <RunAnalyses run={run} />;
    case 'checkpoints':
      return <RunCheckpoints run={run} query={checkpoints} />;
    case 'events':
      return <RunEventList run={run} />;
    case 'configuration':
      return <RunConfiguration run={run} />;
    case 'logs':
      return <RunLogs run={run} feed={feed.feed} />;
    default:
      return (
        <Notice title="There is no such tab">
          <p>Choose one of those above.</p>
        </Notice>
      );
  }
}
