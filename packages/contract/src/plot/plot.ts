import { COLORS } from './colors.js';
import { linearScale, logScale, type Scale, tickText } from './scale.js';

/** Line plots as SVG text: panels beside and below each other, each series named beside its end. Needs no DOM, and no library where it is read. */
export interface Point {
  x: number;
  /** Null: no number, drawn as a cross at the upper edge. */
  y: number | null;
  /** What a reader who points at it is told. */
  title: string;
  /** A ring around it. */
  isRinged?: boolean;
  /** Where a click leads, in a page; a file has no links. */
  href?: string | undefined;
}

export interface Series {
  /** Written beside the end of the series; series of one label share its marker, and the name is written once. */
  label: string;
  /** A name of `COLORS`. */
  color: string;
  points: readonly Point[];
  line: 'solid' | 'dashed' | 'none';
  /** Thin and pale, as single seeds behind their mean. */
  isFaint?: boolean;
  hasMarkers?: boolean;
}

export interface Band {
  label: string;
  color: string;
  points: readonly { x: number; low: number; high: number }[];
}

export interface Panel {
  title: string;
  /** With their units. */
  xLabel: string;
  yLabel: string;
  xScale: 'linear' | 'log';
  series: readonly Series[];
  bands?: readonly Band[];
  /** A line where y is 0 and one where x is 0. */
  hasOrigin?: boolean;
}

export interface Plot {
  title: string;
  /** What is to be seen, in words, for readers who do not see it. */
  description: string;
  panels: readonly Panel[];
}

/** Size of a panel and what is kept free around its drawing, in pixels. */
interface Frame {
  width: number;
  height: number;
  margin: { left: number; right: number; top: number; bottom: number };
  inner: { width: number; height: number };
  /** Whether it writes its own title and the names of its series, and what is upward beside its axis instead of above it. */
  hasWords: boolean;
}

function frameOf(width: number, height: number, margin: Frame['margin'], hasWords: boolean): Frame {
  const inner = { width: width - margin.left - margin.right, height: height - margin.top - margin.bottom };
  return { width, height, margin, inner, hasWords };
}

const WHOLE = frameOf(560, 340, { left: 66, right: 130, top: 34, bottom: 46 }, true);
const BARE = frameOf(440, 290, { left: 54, right: 14, top: 28, bottom: 44 }, false);
const LABEL_HEIGHT = 14;
const LABEL_LETTERS = 17;
const COLUMNS = 2;

/** The names of a plot's series, in the order that gives them their markers. */
export const labelsOf = (panels: readonly Panel[]): string[] => [
  ...new Set(panels.flatMap(({ series }) => series.map(({ label }) => label)).filter((label) => label !== '')),
];

/** The drawing, readable on light and on dark ground, which the reader's system chooses. */
export function plotSvg({ title, description, panels }: Plot): string {
  const labels = labelsOf(panels);
  const width = WHOLE.width * Math.max(1, Math.min(COLUMNS, panels.length));
  const height = WHOLE.height * Math.max(1, Math.ceil(panels.length / COLUMNS));
  const id = title.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-');
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="${id}-title ${id}-desc" font-family="system-ui, sans-serif" font-size="12">`,
    `<title id="${id}-title">${escapeXml(title)}</title>`,
    `<desc id="${id}-desc">${escapeXml(description)}</desc>`,
    `<style>${styles()}</style>`,
    `<rect class="ground" width="${width}" height="${height}"/>`,
    ...panels.flatMap((panel, i) => [
      `<g transform="translate(${(i % COLUMNS) * WHOLE.width} ${Math.floor(i / COLUMNS) * WHOLE.height})">`,
      drawPanel(panel, WHOLE, (label) => labels.indexOf(label)),
      '</g>',
    ]),
    '</svg>',
    '',
  ].join('\n');
}

/**
 * One panel for a page that has its own words and colours: without title, names and `<style>`. Classes: `axis`, `grid`, `ground` and `c-` with a name of `COLORS`.
 * `labels` are those of all panels that share a legend.
 */
export const panelSvg = (panel: Panel, labels: readonly string[]): string =>
  [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${BARE.width} ${BARE.height}" role="img" aria-label="${escapeXml(`${panel.title}: ${panel.yLabel} over ${panel.xLabel}`)}">`,
    drawPanel(panel, BARE, (label) => labels.indexOf(label)),
    '</svg>',
  ].join('');

/** The marker of a label, alone, 12 pixels wide. */
export const markerSvg = (labels: readonly string[], label: string): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 12 12" width="12" height="12" aria-hidden="true">${marker(labels.indexOf(label), 6, 6)}</svg>`;

function styles(): string {
  const rules = (at: 0 | 1): string =>
    Object.entries(COLORS)
      .map(([name, pair]) => `.c-${name}{color:${pair[at]}}`)
      .join('');
  return [
    '.ground{fill:#fff}text{fill:#171816}.grid{stroke:#e2e2de}.axis{stroke:#777}.named{fill:currentColor}',
    rules(0),
    '@media (prefers-color-scheme:dark){.ground{fill:#131518}text{fill:#eceded}.grid{stroke:#2c2f35}.axis{stroke:#8b9097}.named{fill:currentColor}',
    `${rules(1)}}`,
  ].join('');
}

export const escapeXml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

const f = (value: number): string => String(Number(value.toFixed(1)));
const colorClass = (color: string): string => `c-${color in COLORS ? color : 'base'}`;

/** From values to the drawing. */
interface Place {
  frame: Frame;
  x: (value: number) => number;
  y: (value: number) => number;
  xs: Scale;
  ys: Scale;
}

function placeOf(panel: Panel, frame: Frame): Place {
  const points = panel.series.flatMap(({ points: all }) => all);
  const bands = (panel.bands ?? []).flatMap(({ points: all }) => all);
  const zero = panel.hasOrigin ? [0] : [];
  const xValues = [...points.map(({ x }) => x), ...zero];
  const yValues = [
    ...points.flatMap(({ y }) => (y === null ? [] : [y])),
    ...bands.flatMap(({ low, high }) => [low, high]),
  ];
  const xs = panel.xScale === 'log' ? logScale(xValues, 0.05) : linearScale(xValues, 0.04, 5);
  const ys = linearScale([...yValues, ...zero], 0.08, 6);
  const { margin, inner } = frame;
  return {
    frame,
    xs,
    ys,
    x: (value) => margin.left + xs.at(value) * inner.width,
    y: (value) => margin.top + (1 - ys.at(value)) * inner.height,
  };
}

function drawPanel(panel: Panel, frame: Frame, indexOf: (label: string) => number): string {
  const place = placeOf(panel, frame);
  const { margin, inner, height, hasWords } = frame;
  const [x0, y1] = [margin.left, margin.top + inner.height];
  return [
    ...(hasWords ? [`<text x="${x0}" y="20" font-weight="bold">${escapeXml(panel.title)}</text>`] : []),
    ...place.ys.ticks.flatMap((tick) => [
      `<path class="grid" d="M${x0} ${f(place.y(tick))}h${inner.width}"/>`,
      `<text x="${x0 - 8}" y="${f(place.y(tick) + 4)}" text-anchor="end">${tickText(tick)}</text>`,
    ]),
    ...place.xs.ticks.map(
      (tick) => `<text x="${f(place.x(tick))}" y="${y1 + 18}" text-anchor="middle">${tickText(tick)}</text>`,
    ),
    `<path class="axis" d="M${x0} ${margin.top}v${inner.height}h${inner.width}" fill="none"/>`,
    ...(panel.hasOrigin
      ? [
          `<path class="axis" stroke-dasharray="2 3" d="M${x0} ${f(place.y(0))}h${inner.width}M${f(place.x(0))} ${margin.top}v${inner.height}" fill="none"/>`,
        ]
      : []),
    `<text x="${x0 + inner.width / 2}" y="${height - 8}" text-anchor="middle">${escapeXml(panel.xLabel)}</text>`,
    hasWords
      ? `<text transform="translate(14 ${margin.top + inner.height / 2}) rotate(-90)" text-anchor="middle">${escapeXml(panel.yLabel)}</text>`
      : `<text x="2" y="14">${escapeXml(panel.yLabel)}</text>`,
    ...(panel.bands ?? []).map((band) => drawBand(band, place)),
    ...panel.series.map((series) => drawSeries(series, indexOf(series.label), place)),
    ...(hasWords ? drawLabels(panel, place, indexOf) : []),
  ].join('\n');
}

function drawBand({ color, points }: Band, { x, y }: Place): string {
  if (points.length < 2) return '';
  const edge = (side: 'low' | 'high', all: typeof points): string[] =>
    all.map((one) => `${f(x(one.x))} ${f(y(one[side]))}`);
  const outline = [...edge('high', points), ...edge('low', points.toReversed())].join('L');
  return `<path class="${colorClass(color)}" d="M${outline}Z" fill="currentColor" fill-opacity="0.15"/>`;
}

function drawSeries(
  { color, points, line, isFaint, hasMarkers }: Series,
  index: number,
  { frame, x, y }: Place,
): string {
  const drawn = points.flatMap((one) => (one.y === null ? [] : [{ ...one, y: one.y }]));
  const path = drawn.map((one, i) => `${i === 0 ? 'M' : 'L'}${f(x(one.x))} ${f(y(one.y))}`).join('');
  const dash = line === 'dashed' ? ' stroke-dasharray="5 4"' : '';
  const width = isFaint ? '1" stroke-opacity="0.45' : '1.8';
  const marks = points.map((one) => {
    const [px, py] = [x(one.x), one.y === null ? frame.margin.top + 6 : y(one.y)];
    const mark = one.y === null ? cross(px, py) : hasMarkers ? marker(index, px, py) : '';
    const ring = one.isRinged
      ? `<circle cx="${f(px)}" cy="${f(py)}" r="7" fill="none" stroke="currentColor" stroke-width="2"/>`
      : '';
    if (mark + ring === '') return '';
    const [open, close] = one.href === undefined ? ['<g>', '</g>'] : [`<a href="${escapeXml(one.href)}">`, '</a>'];
    return `${open}<title>${escapeXml(one.title)}</title>${mark}${ring}${close}`;
  });
  return [
    `<g class="${colorClass(color)}">`,
    ...(line === 'none' || path === ''
      ? []
      : [`<path d="${path}" fill="none" stroke="currentColor" stroke-width="${width}"${dash}/>`]),
    ...marks.filter((mark) => mark !== ''),
    '</g>',
  ].join('\n');
}

const cross = (x: number, y: number): string =>
  `<path d="M${f(x - 4)} ${f(y - 4)}l8 8m0 -8l-8 8" stroke="currentColor" stroke-width="2"/>`;

/** Four shapes, filled and hollow, so that series of one colour are told apart. */
function marker(index: number, x: number, y: number): string {
  const fill = index % 8 < 4 ? 'fill="currentColor"' : 'class="ground" stroke="currentColor" stroke-width="1.5"';
  switch (index % 4) {
    case 0:
      return `<circle cx="${f(x)}" cy="${f(y)}" r="4" ${fill}/>`;
    case 1:
      return `<rect x="${f(x - 3.5)}" y="${f(y - 3.5)}" width="7" height="7" ${fill}/>`;
    case 2:
      return `<path d="M${f(x)} ${f(y - 5)}L${f(x + 4.5)} ${f(y + 3.5)}H${f(x - 4.5)}Z" ${fill}/>`;
    default:
      return `<path d="M${f(x)} ${f(y - 5)}L${f(x + 5)} ${f(y)}L${f(x)} ${f(y + 5)}L${f(x - 5)} ${f(y)}Z" ${fill}/>`;
  }
}

/** Each label once, beside the last point of its first strong series, pushed apart where they would meet. */
function drawLabels(panel: Panel, place: Place, indexOf: (label: string) => number): string[] {
  const { margin, inner, width } = place.frame;
  const strong = panel.series.filter(({ isFaint }) => !isFaint);
  const named = new Map<string, { color: string; at: number; hasMarkers: boolean }>();
  for (const { label, color, points, hasMarkers = false } of strong) {
    const last = points.findLast(({ y }) => y !== null);
    if (named.has(label) || label === '' || points.length === 0) continue;
    named.set(label, { color, hasMarkers, at: last?.y == null ? margin.top + 6 : place.y(last.y) });
  }
  const sorted = [...named].sort(([, a], [, b]) => a.at - b.at);
  const most = margin.top + inner.height - (sorted.length - 1) * LABEL_HEIGHT;
  let free = margin.top;
  return sorted.map(([label, { color, at, hasMarkers }], i) => {
    const y = Math.max(free, Math.min(at, most + i * LABEL_HEIGHT));
    free = y + LABEL_HEIGHT;
    const x = width - margin.right + 10;
    const mark = hasMarkers
      ? marker(indexOf(label), x, y)
      : `<path d="M${x - 5} ${f(y)}h10" stroke="currentColor" stroke-width="2"/>`;
    return `<g class="${colorClass(color)}">${mark}<text class="named" x="${x + 9}" y="${f(y + 4)}">${escapeXml(shorten(label))}</text></g>`;
  });
}

const shorten = (label: string): string =>
  label.length > LABEL_LETTERS ? `${label.slice(0, LABEL_LETTERS - 1)}…` : label;
