import type { Measured } from './measures.js';

const WIDTH = 980;
const LEFT = 410;
const RIGHT = 70;
const ROW = 46;
const TOP = 56;
const [LEAST, MOST] = [0.25, 8];

const x = (ratio: number): number => {
  const share = Math.log(Math.min(MOST, Math.max(LEAST, ratio)) / LEAST) / Math.log(MOST / LEAST);
  return LEFT + share * (WIDTH - LEFT - RIGHT);
};

/**
 * The ratios as SVG: a bar from 1 to the median of the pairs, a dot for every pair, a line at what must be reached and a dashed one at what
 * is hoped for. The axis is logarithmic. Where less is better the ratio is turned over, so that right is always better.
 */
export function plot(measured: readonly Measured[], subtitle: string): string {
  const drawn = measured.filter(({ isAbsolute }) => !isAbsolute);
  const height = TOP + ROW * drawn.length + 40;
  const bottom = TOP + ROW * drawn.length;
  const ticks = [0.25, 0.5, 1, 2, 4, 8].map(
    (ratio) =>
      `<line x1="${x(ratio)}" y1="${TOP - 8}" x2="${x(ratio)}" y2="${bottom}" stroke="${ratio === 1 ? '#333' : '#ddd'}"/>` +
      `<text x="${x(ratio)}" y="${bottom + 18}" text-anchor="middle">${ratio}×</text>`,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="13" fill="#222">`,
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    '<text x="16" y="24" font-size="16" font-weight="bold">Moraine against PyTorch with PEFT: right is better</text>',
    `<text x="16" y="42" fill="#666">${escaped(subtitle)}</text>`,
    ...ticks,
    ...drawn.map((one, i) => row(one, TOP + ROW * i)),
    `<text x="${WIDTH - 16}" y="${bottom + 34}" text-anchor="end" fill="#666">line: must be reached, dashed: hoped for, dots: single pairs</text>`,
    '</svg>',
    '',
  ].join('\n');
}

function row({ title, ratios, ratioMedian, better, must, hope, isMet }: Measured, top: number): string {
  const good = (ratio: number): number => (better === 'more' ? ratio : 1 / ratio);
  const [from, to] = [x(1), x(good(ratioMedian))].sort((a, b) => a - b) as [number, number];
  const mark = (ratio: number, dash: string): string =>
    `<line x1="${x(good(ratio))}" y1="${top + 4}" x2="${x(good(ratio))}" y2="${top + 32}" stroke="#000" stroke-width="2"${dash}/>`;
  return [
    `<text x="${LEFT - 12}" y="${top + 22}" text-anchor="end">${escaped(title)}</text>`,
    `<rect x="${from}" y="${top + 9}" width="${Math.max(1, to - from)}" height="18" fill="${isMet ? '#2a9d5c' : '#d1495b'}"/>`,
    mark(must, ''),
    mark(hope, ' stroke-dasharray="3 3"'),
    ...ratios.map((ratio) => `<circle cx="${x(good(ratio))}" cy="${top + 18}" r="3" fill="#fff" stroke="#222"/>`),
    `<text x="${WIDTH - RIGHT + 10}" y="${top + 22}" font-weight="bold">${good(ratioMedian).toFixed(2)}×</text>`,
  ].join('');
}

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
