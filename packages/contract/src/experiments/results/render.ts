import type { ResultFormat } from '../../result-text.js';
import { curvesCsv, frontierCsv, tableCsv } from './csv.js';
import { curvesSvg, frontierSvg } from './figures.js';
import type { ExperimentCurves, ExperimentFrontier, ExperimentReport, ExperimentTable } from './objects.js';
import { frontierMarkdown, tableMarkdown } from './report.js';

export type ExperimentResult = ExperimentTable | ExperimentCurves | ExperimentFrontier | ExperimentReport;
type Of<R extends ExperimentResult['object']> = Extract<ExperimentResult, { object: R }>;
type Renderers = {
  [R in ExperimentResult['object']]: Partial<Record<ResultFormat, (result: Of<R>, title: string) => string>>;
};

/** What each result can be beside JSON. */
const RENDERERS: Renderers = {
  'experiment.table': { csv: tableCsv, md: tableMarkdown },
  'experiment.curves': { csv: curvesCsv, svg: curvesSvg },
  'experiment.frontier': { csv: frontierCsv, svg: frontierSvg, md: frontierMarkdown },
  'experiment.report': { md: ({ markdown }) => markdown },
};

/** A result as text; null where it has no such form. `title` is of drawings. */
export function renderResult(result: ExperimentResult, format: ResultFormat, title: string): string | null {
  const render = RENDERERS[result.object][format] as ((result: ExperimentResult, title: string) => string) | undefined;
  return render?.(result, title) ?? null;
}
