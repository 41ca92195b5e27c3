/** A small line plot as SVG text: panels side by side, series with error bars, one legend. */
export interface Point {
  x: number;
  y: number;
  /** Ends of the bar through the point. */
  low?: number;
  high?: number;
}

export interface Series {
  label: string;
  points: readonly Point[];
}

export interface Panel {
  title: string;
  xLabel: string;
  yLabel: string;
  /** `log`: equal distances are equal ratios. */
  xScale: 'linear' | 'log';
  xTicks: readonly number[];
  yMax: number;
  yTicks: readonly number[];
  series: readonly Series[];
}

/** Okabe & Ito's colours, told apart by colour-blind readers too; every series also has a marker of its own. */
const COLOURS = ['#000000', '#E69F00', '#0072B2', '#009E73', '#CC79A7', '#D55E00'];
const WIDTH = 460;
const HEIGHT = 340;
const MARGIN = { left: 58, right: 14, top: 34, bottom: 46 };

const escapeXml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

const f = (value: number): string => value.toFixed(1);

export const tickText = (value: number): string =>
  value !== 0 && Math.abs(value) < 0.01 ? value.toExponential() : String(value);

function marker(index: number, x: number, y: number): string {
  const colour = COLOURS[index % COLOURS.length];
  switch (index % 4) {
    case 0:
      return `<circle cx="${f(x)}" cy="${f(y)}" r="4" fill="${colour}"/>`;
    case 1:
      return `<rect x="${f(x - 3.5)}" y="${f(y - 3.5)}" width="7" height="7" fill="${colour}"/>`;
    case 2:
      return `<path d="M${f(x)} ${f(y - 5)}L${f(x + 4.5)} ${f(y + 3.5)}H${f(x - 4.5)}Z" fill="${colour}"/>`;
    default:
      return `<path d="M${f(x)} ${f(y - 5)}L${f(x + 5)} ${f(y)}L${f(x)} ${f(y + 5)}L${f(x - 5)} ${f(y)}Z" fill="${colour}"/>`;
  }
}

function drawPanel(panel: Panel, left: number, colourOf: (label: string) => number): string {
  const scale = (x: number): number => (panel.xScale === 'log' ? Math.log10(x) : x);
  const xs = panel.xTicks.map(scale);
  const [xLow, xHigh] = [Math.min(...xs), Math.max(...xs)];
  const inner = { width: WIDTH - MARGIN.left - MARGIN.right, height: HEIGHT - MARGIN.top - MARGIN.bottom };
  const px = (x: number): number => left + MARGIN.left + ((scale(x) - xLow) / (xHigh - xLow || 1)) * inner.width;
  const py = (y: number): number => MARGIN.top + inner.height * (1 - Math.min(Math.max(y, 0), panel.yMax) / panel.yMax);
  const parts = [
    `<text x="${left + MARGIN.left}" y="20" font-weight="bold">${escapeXml(panel.title)}</text>`,
    ...panel.yTicks.flatMap((y) => [
      `<path d="M${left + MARGIN.left} ${f(py(y))}h${inner.width}" stroke="#ddd"/>`,
      `<text x="${left + MARGIN.left - 8}" y="${f(py(y) + 4)}" text-anchor="end">${tickText(y)}</text>`,
    ]),
    ...panel.xTicks.map(
      (x) => `<text x="${f(px(x))}" y="${HEIGHT - 26}" text-anchor="middle">${escapeXml(tickText(x))}</text>`,
    ),
    `<path d="M${left + MARGIN.left} ${MARGIN.top}v${inner.height}h${inner.width}" stroke="#333" fill="none"/>`,
    `<text x="${left + MARGIN.left + inner.width / 2}" y="${HEIGHT - 6}" text-anchor="middle">${escapeXml(panel.xLabel)}</text>`,
    `<text transform="translate(${left + 14} ${MARGIN.top + inner.height / 2}) rotate(-90)" text-anchor="middle">${escapeXml(panel.yLabel)}</text>`,
  ];
  for (const { label, points } of panel.series) {
    const index = colourOf(label);
    const colour = COLOURS[index % COLOURS.length];
    const line = points.map(({ x, y }, i) => `${i === 0 ? 'M' : 'L'}${f(px(x))} ${f(py(y))}`).join('');
    parts.push(`<path d="${line}" stroke="${colour}" stroke-width="1.8" fill="none"/>`);
    for (const { x, y, low, high } of points) {
      if (low !== undefined && high !== undefined && Number.isFinite(low + high)) {
        const [a, b, c] = [f(px(x)), f(py(high)), f(py(low))];
        parts.push(
          `<path d="M${a} ${b}V${c}M${f(px(x) - 4)} ${b}h8M${f(px(x) - 4)} ${c}h8" stroke="${colour}" fill="none"/>`,
        );
      }
      parts.push(marker(index, px(x), py(y)));
    }
  }
  return parts.join('\n');
}

/** Panels side by side on white, the legend below. Values above a panel's `yMax` are drawn at its edge. */
export function plotSvg(panels: readonly Panel[]): string {
  const labels = [...new Set(panels.flatMap(({ series }) => series.map(({ label }) => label)))];
  const colourOf = (label: string): number => labels.indexOf(label);
  const width = WIDTH * panels.length;
  const legend = labels.map((label, i) => {
    const x = MARGIN.left + i * 140;
    return `${marker(i, x, HEIGHT + 14)}<text x="${x + 12}" y="${HEIGHT + 18}">${escapeXml(label)}</text>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${HEIGHT + 30}" font-family="sans-serif" font-size="12">`,
    `<rect width="${width}" height="${HEIGHT + 30}" fill="#fff"/>`,
    ...panels.map((panel, i) => drawPanel(panel, i * WIDTH, colourOf)),
    ...legend,
    '</svg>',
    '',
  ].join('\n');
}
