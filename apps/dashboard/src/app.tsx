import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { createBrowserRouter, Navigate, RouterProvider, useRouteError } from 'react-router';
import { ErrorNotice, Notice } from './components/notice.js';
import { Shell } from './components/shell.js';
import { RunsPage } from './pages/runs-page.js';
import { WorkersPage } from './pages/workers-page.js';

/** A page that failed for a reason of its own: said where it stood, the rest of the frame stays. */
const PageError = () => <ErrorNotice error={useRouteError()} what="page" onRetry={() => window.location.reload()} />;

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

const router = createBrowserRouter([
  {
    element: <Shell />,
    children: [
      {
        errorElement: <PageError />,
        children: [
          { path: '/', element: <Navigate to="/runs" replace /> },
          { path: '/runs', element: <RunsPage /> },
          { path: '/runs/:id/:tab?', lazy: async () => ({ Component: (await import('./pages/run-page.js')).RunPage }) },
          { path: '/workers', element: <WorkersPage /> },
          { path: '*', element: <NoPage /> },
        ],
      },
    ],
  },
]);

export const App = () => (
  <QueryClientProvider client={queries}>
    <RouterProvider router={router} />
  </QueryClientProvider>
);
