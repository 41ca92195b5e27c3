import type { ExperimentObject } from '@moraine/contract';
import { experimentClient } from '../lib/experiment-client.js';

const FILES = [
  ['getExperimentReport', 'report', ['md']],
  ['getExperimentTable', 'table', ['csv', 'md']],
  ['getExperimentCurves', 'curves', ['svg', 'csv']],
  ['getExperimentFrontier', 'plane', ['svg', 'csv', 'md']],
] as const;

/** The report, and every figure and its rows, as files. */
export function ExperimentFiles({ experiment }: { experiment: ExperimentObject }) {
  const stem = experiment.name.replaceAll(/[^A-Za-z0-9._-]+/g, '-');
  return (
    <section className="block" aria-label="Files">
      <h2>Files</h2>
      <ul className="files">
        {FILES.map(([route, what, formats]) => (
          <li key={what}>
            <span>{what}</span>
            {formats.map((format) => (
              <a
                key={format}
                className="button"
                download={`${stem}-${what}.${format}`}
                href={`${experimentClient.url(route, { params: { id: experiment.id } })}?format=${format}`}
              >
                {format.toUpperCase()}
              </a>
            ))}
          </li>
        ))}
      </ul>
    </section>
  );
}
