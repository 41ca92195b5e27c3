import {
  curvePanels,
  type ExperimentCurves,
  type ExperimentFrontier,
  frontierPanels,
} from '@moraine/contract/experiments';
import { Panels } from '../figures/panels.js';

/** Rates with the optimum ringed, the plane, and scores over steps: the drawings that the files have, in the page's colours. */
export function ExperimentFigures({ curves, frontier }: { curves: ExperimentCurves; frontier: ExperimentFrontier }) {
  const hasPlane = frontier.runs.some(({ points }) => points.length > 0);
  const overSteps = curvePanels({ ...curves, rates: [] });
  const ofRates = curvePanels({ ...curves, panels: [] });
  const plane = hasPlane ? frontierPanels(frontier, (id) => `/runs/${id}`) : [];
  if (overSteps.length + ofRates.length + plane.length === 0)
    return <p className="weak">The figures appear when the first run has ended.</p>;
  return (
    <>
      <div className="columns">
        <Panels title="Learning rates" panels={ofRates} />
        <Panels title="Learned and kept" panels={plane} />
      </div>
      <Panels title="Over steps" panels={overSteps} />
    </>
  );
}
