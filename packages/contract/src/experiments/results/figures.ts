import { type Panel, type Plot, plotSvg, type Series, tickText } from '../../plot/index.js';
import { evaluatePolynomial } from '../../stats/index.js';
import type { CurvePanel, ExperimentCurves, ExperimentFrontier, KlGauge } from './objects.js';

/** A panel a quantity over steps, and one of the search where there was one. */
export const curvePanels = (curves: ExperimentCurves): Panel[] => [
  ...curves.panels.map(curvePanel),
  ...(curves.rates.length === 0 ? [] : [ratePanel(curves)]),
];

/** Curves over steps and over rates, as SVG text. */
export function curvesSvg(curves: ExperimentCurves, title: string): string {
  const chosen = curves.rates.map(({ arm, learning_rate }) => `${arm} at ${learning_rate ?? 'none yet'}`);
  const stopped = curves.rates.flatMap(({ arm, points }) =>
    points.flatMap((one) =>
      one.stopped === null ? [] : [`${arm} at ${one.learning_rate} (step ${one.stopped.step})`],
    ),
  );
  return plotSvg({
    title: `${title}: curves`,
    description: `Means over seeds with 95 % t-intervals as bands, single seeds as thin lines. ${chosen.length > 0 ? `Chosen rates: ${chosen.join(', ')}.` : ''}${stopped.length > 0 ? ` Stopped early and not drawn: ${stopped.join(', ')}.` : ''}`,
    panels: curvePanels(curves),
  });
}

function curvePanel({ title, unit, arms }: CurvePanel): Panel {
  return {
    title,
    xLabel: 'step',
    yLabel: unit,
    xScale: 'linear',
    bands: arms.map(({ label, color, mean }) => ({
      label,
      color,
      points: mean.flatMap(({ step, mean: y, half }) =>
        half === null ? [] : [{ x: step, low: y - half, high: y + half }],
      ),
    })),
    series: arms.flatMap(({ arm, color, runs, mean }): Series[] => [
      ...runs.map(
        ({ points }): Series => ({
          label: arm,
          color,
          line: 'solid',
          isFaint: true,
          points: points.map(({ step, value }) => ({ x: step, y: value, title: '' })),
        }),
      ),
      {
        label: arm,
        color,
        line: 'solid',
        hasMarkers: true,
        points: mean.map(({ step, mean: y, half, n }) => ({
          x: step,
          y,
          title: `${arm}, step ${step}: ${tickText(y)}${half === null ? '' : ` ± ${tickText(half)}`} (${n} seeds)`,
        })),
      },
    ]),
  };
}

function ratePanel({ rates }: ExperimentCurves): Panel {
  return {
    title: 'the search: the rate that was chosen is ringed',
    xLabel: 'learning rate',
    yLabel: 'validation loss, nats a token',
    xScale: 'log',
    series: rates.map(({ arm, color, points }) => ({
      label: arm,
      color,
      line: 'solid',
      hasMarkers: true,
      // The loss of a run that was stopped is of another step, and has no place on this axis.
      points: points
        .filter(({ stopped }) => stopped === null)
        .map(({ learning_rate: x, loss, is_chosen }) => ({
          x,
          y: loss,
          title: `${arm}, rate ${x}: ${loss === null ? 'diverged' : tickText(loss)}${is_chosen ? ', chosen' : ''}`,
          isRinged: is_chosen,
        })),
    })),
  };
}

/** Where a model of a run is to be seen, in a page. */
export type RunHref = (run_id: string) => string | undefined;

/** The plane, and the KL gauge where it has points. */
export const frontierPanels = (frontier: ExperimentFrontier, href: RunHref = () => undefined): Panel[] => [
  planePanel(frontier, href),
  ...(frontier.gauge.points.length === 0 ? [] : [gaugePanel(frontier.gauge, href)]),
];

/** The plane with its front, and the KL gauge where it has points, as SVG text. */
export function frontierSvg(frontier: ExperimentFrontier, title: string): string {
  const { front, gauge } = frontier;
  const names = front.map(({ arm, step, lambda }) => (arm === null ? 'the base' : `${arm} step ${step} λ ${lambda}`));
  const plot: Plot = {
    title: `${title}: learned and kept`,
    description: `Each path is a run from the base at the origin; dashed lines are its way back. Nothing beats ${names.join(', ')}. ${gauge.refusal ?? ''}`,
    panels: frontierPanels(frontier),
  };
  return plotSvg(plot);
}

function planePanel({ x, y, runs, front }: ExperimentFrontier, href: RunHref): Panel {
  const titleOf = (arm: string, seed: number, point: { step: number; lambda: number; x: number; y: number }): string =>
    `${arm}, seed ${seed}, step ${point.step}, λ ${point.lambda}: learned ${tickText(point.x)}, kept ${tickText(point.y)}`;
  return {
    title: 'learned and kept; the front is ringed',
    xLabel: `${x.title}, ${x.unit}`,
    yLabel: `${y.title}, ${y.unit}`,
    xScale: 'linear',
    hasOrigin: true,
    series: [
      ...runs.flatMap(({ run_id, arm, color, seed, points, dial }): Series[] => [
        {
          label: arm,
          color,
          line: 'solid',
          hasMarkers: true,
          points: points.map((one) => ({
            ...one,
            title: titleOf(arm, seed, one),
            isRinged: one.is_on_front && one.step > 0,
            href: href(run_id),
          })),
        },
        {
          label: '',
          color,
          line: 'dashed',
          points: dial.map((one) => ({
            ...one,
            title: titleOf(arm, seed, one),
            isRinged: one.is_on_front,
            href: href(run_id),
          })),
        },
      ]),
      {
        label: 'front',
        color: 'base',
        line: 'dashed',
        points: front.map((one) => ({ x: one.x, y: one.y, title: 'front' })),
      },
    ],
  };
}

function gaugePanel({ points, quadratic, methods }: KlGauge, href: RunHref): Panel {
  const [low, high] = [points[0]?.kl ?? 0, points.at(-1)?.kl ?? 0];
  const drawn = Array.from({ length: 41 }, (_, i) => low + ((high - low) * i) / 40);
  const r2 = quadratic?.r2 ?? null;
  return {
    title: r2 === null ? 'KL gauge: no claim is made' : `KL gauge: R² ${r2.toFixed(3)} of the second degree`,
    xLabel: 'KL(p_base ‖ q) on held-out task tokens, nats a token',
    yLabel: 'forgotten, bits per byte of source rows',
    xScale: 'linear',
    series: [
      ...methods.map((method): Series => {
        const own = points.filter((one) => one.method === method);
        return {
          label: own[0]?.color ?? method,
          color: own[0]?.color ?? method,
          line: 'none',
          hasMarkers: true,
          points: own.map(({ run_id, arm, kl, forgotten }) => ({
            x: kl,
            y: forgotten,
            title: `${arm}, ${run_id}: KL ${tickText(kl)}, forgotten ${tickText(forgotten)}`,
            href: href(run_id),
          })),
        };
      }),
      ...(quadratic === null
        ? []
        : [
            {
              label: 'fit',
              color: 'base',
              line: 'dashed' as const,
              points: drawn.map((x) => ({ x, y: evaluatePolynomial(quadratic.coefficients, x), title: '' })),
            },
          ]),
    ],
  };
}
