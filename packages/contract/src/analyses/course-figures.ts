import { METHODS } from '../methods/registry.js';
import { type Panel, plotSvg, type Series, tickText } from '../plot/index.js';
import { markdownTable, type ResultFormat, toCsv } from '../result-text.js';
import {
  type AnalysisCourse,
  type CanariesCourse,
  COURSE_FIGURES,
  type CourseFigure,
  type CoursePoint,
  type WeightsCourse,
} from './course.js';
import type { ExposureSummary } from './exposure.js';

interface Facts {
  title: string;
  unit: string;
  /** The control has it, and it may differ. */
  hasControl: boolean;
}

const FACTS: Record<CourseFigure, Facts> = {
  rank_90: { title: 'rank-90', unit: 'singular values that hold 90 % of the squares', hasControl: true },
  stable_rank: { title: 'stable rank', unit: '‖ΔW‖² / σ₁²', hasControl: true },
  relative_norm: { title: 'size of the update', unit: '‖ΔW‖ / ‖W0‖', hasControl: false },
  largest_singular_value: { title: 'largest singular value', unit: 'σ₁ of ΔW', hasControl: true },
  overlap_left: { title: 'overlap with W0, outputs', unit: 'share of the first k directions', hasControl: true },
  overlap_right: { title: 'overlap with W0, inputs', unit: 'share of the first k directions', hasControl: true },
  intruders: { title: 'intruder dimensions', unit: 'of the first k directions', hasControl: true },
};

/** Colours of kinds of layers, in the order in which they come: those of methods, which everyone tells apart. */
const MODULE_COLORS = METHODS.map(({ color }) => color);
const colorAt = (i: number): string => MODULE_COLORS[i % MODULE_COLORS.length] ?? 'base';

/** A line with its control, dashed and of the same colour. */
function withControl(
  label: string,
  color: string,
  key: CourseFigure,
  points: readonly (Omit<CoursePoint, 'step'> & { x: number; where: string })[],
): Series[] {
  const drawn = (of: 'figures' | 'control') =>
    points.flatMap(({ x, where, [of]: figures }) => {
      const y = figures?.[key] ?? null;
      return y === null ? [] : [{ x, y, title: `${label}, ${where}: ${tickText(y)}` }];
    });
  return [
    { label, color, line: 'solid', hasMarkers: true, points: drawn('figures') },
    ...(FACTS[key].hasControl ? [{ label: '', color, line: 'dashed' as const, points: drawn('control') }] : []),
  ];
}

/** A panel a figure over training: the mean over the layers of a kind. */
const trainingPanels = ({ modules }: WeightsCourse): Panel[] =>
  COURSE_FIGURES.map((key) => ({
    title: `${FACTS[key].title} over training`,
    xLabel: 'step',
    yLabel: FACTS[key].unit,
    xScale: 'linear',
    series: modules.flatMap(({ module, points }, i) =>
      withControl(
        module,
        colorAt(i),
        key,
        points.map((one) => ({ ...one, x: one.step, where: `step ${one.step}` })),
      ),
    ),
  }));

/** A panel a figure over the blocks, after the last step that was measured; layers that are in no block have no place. */
function depthPanels({ modules, layers, analyses }: WeightsCourse): Panel[] {
  const last = analyses.at(-1)?.step;
  return COURSE_FIGURES.map((key) => ({
    title: `${FACTS[key].title} over layers, step ${last}`,
    xLabel: 'block',
    yLabel: FACTS[key].unit,
    xScale: 'linear',
    series: modules.flatMap(({ module }, i) =>
      withControl(
        module,
        colorAt(i),
        key,
        layers.flatMap(({ module: own, layer, depth, points }) => {
          const point = points.find(({ step }) => step === last);
          return own !== module || depth === null || point === undefined ? [] : [{ ...point, x: depth, where: layer }];
        }),
      ),
    ),
  }));
}

function canaryPanels({ points, ceiling, expected }: CanariesCourse): Panel[] {
  const groups = [
    { label: 'planted', color: colorAt(0), of: 'planted' as const },
    { label: 'never seen', color: colorAt(1), of: 'controls' as const },
  ];
  const [from, to] = [points[0]?.step ?? 0, points.at(-1)?.step ?? 0];
  const level = (label: string, y: number | null): Series[] =>
    y === null
      ? []
      : [{ label, color: 'base', line: 'dashed', points: [from, to].map((x) => ({ x, y, title: label })) }];
  const panel = (
    title: string,
    unit: string,
    measure: (summary: ExposureSummary) => { value: number; low: number; high: number },
    levels: Series[],
  ): Panel => ({
    title,
    xLabel: 'step; 0 is the base',
    yLabel: unit,
    xScale: 'linear',
    bands: groups.map(({ label, color, of }) => ({
      label,
      color,
      points: points.flatMap(({ step, [of]: summary }) => (summary === null ? [] : [{ x: step, ...measure(summary) }])),
    })),
    series: [
      ...groups.map(
        ({ label, color, of }): Series => ({
          label,
          color,
          line: 'solid',
          hasMarkers: true,
          points: points.flatMap(({ step, [of]: summary }) => {
            if (summary === null) return [];
            const { value } = measure(summary);
            return [{ x: step, y: value, title: `${label}, step ${step}: ${tickText(value)} (${summary.n} canaries)` }];
          }),
        }),
      ),
      ...levels,
    ],
  });
  return [
    panel(
      'exposure over training',
      'bits',
      ({ exposure: { mean, half } }) => ({ value: mean, low: mean - (half ?? 0), high: mean + (half ?? 0) }),
      [...level('ceiling', ceiling), ...level('chance', expected)],
    ),
    panel(
      'written whole over training',
      'share of the canaries',
      ({ extracted: { share, interval } }) => ({ value: share, low: interval[0], high: interval[1] }),
      [],
    ),
  ];
}

/** The drawings of a course; none of one that has measured nothing. Of one step weights are drawn over layers alone, of one block over training alone. */
export function coursePanels(course: AnalysisCourse): { training: Panel[]; layers: Panel[] } {
  if (course.analyses.length === 0) return { training: [], layers: [] };
  if (course.kind === 'canaries') return { training: canaryPanels(course), layers: [] };
  const blocks = new Set(course.layers.flatMap(({ depth }) => depth ?? []));
  const layers = blocks.size > 1 ? depthPanels(course) : [];
  return { training: course.analyses.length > 1 || layers.length === 0 ? trainingPanels(course) : [], layers };
}

/** Over training on the left, over layers on the right, where there are both. */
function courseSvg(course: AnalysisCourse, title: string): string {
  const { training, layers } = coursePanels(course);
  const description =
    course.kind === 'weights'
      ? 'Means over the layers of each kind; dashed lines are matrices of normal numbers with the norm of the update.'
      : 'Means over canaries with 95 % intervals as bands.';
  return plotSvg({
    title: `${title}: ${course.kind}`,
    description: course.analyses.length === 0 ? 'Nothing is measured yet.' : description,
    panels:
      training.length === layers.length
        ? training.flatMap((panel, i) => [panel, ...layers.slice(i, i + 1)])
        : [...training, ...layers],
  });
}

/** Of weights a row a layer and step, of canaries one a step and group. */
function courseCsv(course: AnalysisCourse): string {
  if (course.kind === 'canaries')
    return toCsv(
      [
        'step',
        'canaries',
        'n',
        'exposure',
        'exposure_half',
        'extracted',
        'extracted_low',
        'extracted_high',
        'characters',
      ],
      course.points.flatMap(({ step, ...groups }) =>
        (['planted', 'controls'] as const).flatMap((name) => {
          const of = groups[name];
          if (of === null) return [];
          const { exposure, extracted, characters } = of;
          return [
            [
              ...[step, name, of.n, exposure.mean, exposure.half],
              ...[extracted.share, ...extracted.interval, characters.mean],
            ],
          ];
        }),
      ),
    );
  const controlled = COURSE_FIGURES.filter((key) => FACTS[key].hasControl);
  return toCsv(
    ['step', 'layer', 'module', 'block', ...COURSE_FIGURES, ...controlled.map((key) => `control_${key}`)],
    course.layers.flatMap(({ layer, module, depth, points }) =>
      points.map(({ step, figures, control }) => [
        ...[step, layer, module, depth],
        ...COURSE_FIGURES.map((key) => figures[key]),
        ...controlled.map((key) => control?.[key] ?? null),
      ]),
    ),
  );
}

const number = (value: number | null): string => (value === null ? '–' : tickText(value));

function courseMarkdown(course: AnalysisCourse): string {
  if (course.analyses.length === 0) return 'Nothing is measured yet.\n';
  return (course.kind === 'weights' ? weightsMarkdown(course) : canariesMarkdown(course)).join('\n');
}

const weightsMarkdown = ({ modules, lambda }: WeightsCourse): string[] => [
  ...markdownTable(
    ['module', 'layers', 'step', ...COURSE_FIGURES.map((key) => FACTS[key].title)],
    modules.flatMap(({ module, layers, points }) =>
      points.map(({ step, figures, control }) => [
        ...[module, String(layers), String(step)],
        ...COURSE_FIGURES.map((key) =>
          control === null || !FACTS[key].hasControl
            ? number(figures[key])
            : `${number(figures[key])} (${number(control[key])})`,
        ),
      ]),
    ),
  ),
  `Means over the layers of a kind at λ = ${lambda}; in brackets those of normal numbers with the norm of the update: a high rank that is found is no high rank that is needed.`,
  '',
];

const canariesMarkdown = ({ points, ceiling, expected }: CanariesCourse): string[] => {
  const around = ({ mean, half }: { mean: number; half: number | null }): string =>
    half === null ? number(mean) : `${number(mean)} ± ${number(half)}`;
  return [
    ...markdownTable(
      ['step', 'canaries', 'n', 'exposure, bits', 'written whole', 'characters'],
      points.flatMap(({ step, planted, controls }) =>
        [
          { name: 'planted', of: planted },
          { name: 'never seen', of: controls },
        ].flatMap(({ name, of }) =>
          of === null
            ? []
            : [
                [
                  ...[step === 0 ? '0, the base' : String(step), name, String(of.n), around(of.exposure)],
                  `${number(of.extracted.share)} [${of.extracted.interval.map(number).join(', ')}]`,
                  around(of.characters),
                ],
              ],
        ),
      ),
    ),
    `Means over canaries with half of the 95 % interval. The ceiling is ${number(ceiling)} bits; values that no row held have ${number(expected)}.`,
    '',
  ];
};

const RENDERERS: Record<ResultFormat, (course: AnalysisCourse, title: string) => string> = {
  csv: courseCsv,
  svg: courseSvg,
  md: courseMarkdown,
};

/** A course as text. `title` is of the drawing. */
export const renderCourse = (course: AnalysisCourse, format: ResultFormat, title: string): string =>
  RENDERERS[format](course, title);
