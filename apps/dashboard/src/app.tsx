import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { lazy, Suspense } from 'react';
import { BrowserRouter, Navigate, Route, Routes } from 'react-router';
import { Loading, Notice } from './components/notice.js';
import { PageBoundary } from './components/page-boundary.js';
import { Shell } from './components/shell.js';
import { RunsPage } from './pages/runs-page.js';

const WorkersPage = lazy(async () => ({ default: (await import('./pages/workers-page.js')).WorkersPage }));
const RunPage = lazy(async () => ({ default: (await import('./pages/run-page.js')).RunPage }));

const EvaluationsPage = lazy(async () => ({ default: (await import('./pages/evaluations-page.js')).EvaluationsPage }));
const EvaluationPage = lazy(async () => ({ default: (await import('./pages/evaluation-page.js')).EvaluationPage }));
const ExperimentsPage = lazy(async () => ({ default: (await import('./pages/experiments-page.js')).ExperimentsPage }));
const PlaygroundPage = lazy(async () => ({ default: (await import('./pages/playground-page.js')).PlaygroundPage }));
const ExperimentPage = lazy(async () => ({ default: (await import('./pages/experiment-page.js')).ExperimentPage }));

const NoPage = () => (
  <Notice title="There is no such page">
    <p>
      Go to the <a href="/runs">runs</a> or the <a href="/workers">workers</a>.
    </p>
  </Notice>
);

/** No retries here: every query polls, and an error is worth showing at once. */
const queries = new QueryClient({
  defaultOptions: {
    queries: {
      networkMode: 'always',
      staleTime: 1000,
      retry: false,
      refetchOnWindowFocus: true,
    },
    mutations: { networkMode: 'always' },
  },
});

/** Each page comes when it is asked for, in the frame that stays. */
const Pages = () => (
  <PageBoundary>
    <Suspense fallback={<Loading what="the page" />}>
      <Routes>
        <Route path="/" element={<Navigate to="/runs" replace />} />
        <Route path="/runs" element={<RunsPage />} />
        <Route path="/runs/:id/:tab?" element={<RunPage />} />
        <Route path="/experiments" element={<ExperimentsPage />} />
        <Route path="/experiments/:id" element={<ExperimentPage />} />
        <Route path="/evaluations" element={<EvaluationsPage />} />
        <Route path="/evaluations/:id" element={<EvaluationPage />} />
        <Route path="/playground" element={<PlaygroundPage />} />
        <Route path="/workers" element={<WorkersPage />} />
        <Route path="*" element={<NoPage />} />
      </Routes>
    </Suspense>
  </PageBoundary>
);

export const App = () => (
  <QueryClientProvider client={queries}>
    <BrowserRouter>
      <Shell>
        <Pages />
      </Shell>
    </BrowserRouter>
  </QueryClientProvider>
);
