import { escapeHtml, markdownTable, textCell } from '../result-text.js';
import type { AnswerComparison, AnsweredRow, Share } from './compare-answers.js';

/** What a report says beside the figures. */
export interface CompareFacts {
  /** What was asked here, and the name of the file with the other answers. */
  ours: string;
  theirs: string;
  rows: string;
  /** How an answer is judged, in words. */
  check: string;
  /** Sentences on rows that are left out and the like. */
  notes: readonly string[];
  /** Rows that are listed at most. */
  rowsMax: number;
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
const points = (share: number): string => `${share < 0 ? '−' : '+'}${(100 * Math.abs(share)).toFixed(1)}`;
const letters = (count: number): string => count.toFixed(1);
const signed = (count: number): string => `${count < 0 ? '−' : '+'}${letters(Math.abs(count))}`;
const pText = (p: number): string => (p < 0.001 ? 'below 0.001' : p.toFixed(3));

/** The one sentence that somebody in a hurry reads. */
export function verdictSentence(
  { decision, difference, n, verdicts }: AnswerComparison,
  { ours }: CompareFacts,
): string {
  const by = (...ends: [number, number]): string => ends.map((end) => (100 * Math.abs(end)).toFixed(1)).join(' to ');
  const { low, high } = difference;
  if (decision === 'better')
    return `${ours} is right more often than the old model on these ${n} rows, by ${by(low, high)} points.`;
  if (decision === 'worse')
    return `${ours} is right less often than the old model on these ${n} rows, by ${by(high, low)} points.`;
  if (low > 0 || high < 0)
    return `No difference can be shown on these ${n} rows: too few of them tell the two apart (McNemar's exact p ${pText(verdicts.p)}).`;
  return `No difference can be shown on these ${n} rows: it lies between ${points(low)} and ${points(high)} points.`;
}

const figures = ({
  ours,
  theirs,
  difference,
  length,
  n,
  same,
}: AnswerComparison): [string, string, string, string][] => [
  [
    'right answers',
    shareText(ours, n),
    shareText(theirs, n),
    `${points(difference.difference)} points [${points(difference.low)}, ${points(difference.high)}]`,
  ],
  [
    'letters of an answer',
    letters(length.ours),
    letters(length.theirs),
    `${signed(length.difference.difference)} [${signed(length.difference.low)}, ${signed(length.difference.high)}]`,
  ],
  ['the same text', '', '', `${same} of ${n} rows`],
];

const shareText = ({ right, value, low, high }: Share, n: number): string =>
  `${percent(value)} [${percent(low)}, ${percent(high)}], ${right} of ${n}`;

const verdictRows = ({ verdicts }: AnswerComparison): [string, number][] => [
  ['both', verdicts.both],
  ['ours alone', verdicts.onlyOurs],
  ['the old model alone', verdicts.onlyTheirs],
  ['neither', verdicts.neither],
];

const method = ({ rows, check }: CompareFacts, { verdicts }: AnswerComparison): string =>
  `Rows: ${rows}. An answer is right when ${check}. Intervals hold 95 %: Wilson's of a share, the bootstrap over rows of a difference, with both answers to a row kept together. McNemar's exact p is ${pText(verdicts.p)}. Ours was asked at temperature 0.`;

/** For a terminal. */
export function compareText(compared: AnswerComparison, facts: CompareFacts): string {
  const head: [string, string, string, string] = ['', `ours (${facts.ours})`, `theirs (${facts.theirs})`, 'difference'];
  const rows = [head, ...figures(compared)];
  const widths = head.map((_, i) => Math.max(...rows.map((row) => (row[i] ?? '').length)));
  const lines = rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  const who = verdictRows(compared).map(([name, count]) => `${name} ${count}`);
  return [
    verdictSentence(compared, facts),
    '',
    ...lines,
    '',
    `right: ${who.join(', ')}; McNemar's exact p ${pText(compared.verdicts.p)}`,
    ...facts.notes,
  ].join('\n');
}

/** As a page in Markdown. */
export function compareMarkdown(compared: AnswerComparison, facts: CompareFacts): string {
  const listed = compared.changed.slice(0, facts.rowsMax);
  return [
    `# ${facts.ours} beside the old model`,
    '',
    `**${verdictSentence(compared, facts)}**`,
    '',
    ...markdownTable(['', `ours: \`${facts.ours}\``, `theirs: \`${facts.theirs}\``, 'difference'], figures(compared)),
    ...markdownTable(
      ['right', 'rows'],
      verdictRows(compared).map(([name, count]) => [name, String(count)]),
    ),
    ...(listed.length === 0 ? [] : [changedTitle(compared, listed), '']),
    ...(listed.length === 0
      ? []
      : markdownTable(
          ['row', 'right', 'asked', 'expected', 'ours', 'theirs'],
          listed.map((row) => [
            row.id,
            rightOf(row),
            ...[row.question, row.expected, row.ours, row.theirs].map(inCell),
          ]),
        )),
    ...facts.notes.flatMap((note) => [note, '']),
    method(facts, compared),
    '',
  ].join('\n');
}

const rightOf = ({ isOursRight }: AnsweredRow): string => (isOursRight ? 'ours' : 'theirs');
const inCell = (text: string): string => textCell(short(text));
const short = (text: string): string => ([...text].length > 400 ? `${[...text].slice(0, 400).join('')}…` : text);
const changedTitle = ({ changed }: AnswerComparison, listed: readonly AnsweredRow[]): string =>
  `## Rows that one of them alone got right${listed.length < changed.length ? ` (${listed.length} of ${changed.length})` : ''}`;

/** As a page of its own for a browser: no script, nothing fetched. */
export function compareHtml(compared: AnswerComparison, facts: CompareFacts): string {
  const listed = compared.changed.slice(0, facts.rowsMax);
  const e = escapeHtml;
  const cells = (tag: 'th' | 'td', row: readonly string[]): string =>
    row.map((cell) => `<${tag}>${e(cell)}</${tag}>`).join('');
  const table = (head: readonly string[], rows: readonly (readonly string[])[], name = ''): string =>
    `<table${name && ` class="${name}"`}><thead><tr>${cells('th', head)}</tr></thead><tbody>${rows
      .map((row) => `<tr>${cells('td', row)}</tr>`)
      .join('')}</tbody></table>`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${e(facts.ours)} beside the old model</title><style>${STYLE}</style></head><body><main>
<h1>${e(facts.ours)} beside the old model</h1>
<p class="verdict ${compared.decision}">${e(verdictSentence(compared, facts))}</p>
${intervals(compared)}
${table(['', `ours: ${facts.ours}`, `theirs: ${facts.theirs}`, 'difference'], figures(compared))}
${table(
  ['right', 'rows'],
  verdictRows(compared).map(([name, count]) => [name, String(count)]),
  'counts',
)}
${
  listed.length === 0
    ? ''
    : `<h2>${e(changedTitle(compared, listed).slice(3))}</h2>${table(
        ['row', 'right', 'asked', 'expected', 'ours', 'theirs'],
        listed.map((row) => [row.id, rightOf(row), ...[row.question, row.expected, row.ours, row.theirs].map(short)]),
        'rows',
      )}`
}
${facts.notes.map((note) => `<p>${e(note)}</p>`).join('\n')}
<p class="method">${e(method(facts, compared))}</p>
</main></body></html>
`;
}

const WIDTH = 640;

/** Both shares with their intervals on one axis from 0 to 100 %. */
function intervals({ ours, theirs }: AnswerComparison): string {
  const x = (share: number): string => (90 + share * (WIDTH - 110)).toFixed(1);
  const line = ({ low, high, value }: Share, y: number, name: string): string =>
    `<g class="${name}"><text x="0" y="${y + 4}">${name}</text><line x1="${x(low)}" x2="${x(high)}" y1="${y}" y2="${y}"/><circle cx="${x(value)}" cy="${y}" r="5"/></g>`;
  const ticks = [0, 0.25, 0.5, 0.75, 1]
    .map(
      (share) =>
        `<line class="grid" x1="${x(share)}" x2="${x(share)}" y1="8" y2="72"/><text class="tick" x="${x(share)}" y="88">${100 * share} %</text>`,
    )
    .join('');
  return `<svg viewBox="0 0 ${WIDTH} 96" role="img" aria-label="Share of right answers with its interval: ours ${percent(ours.value)}, theirs ${percent(theirs.value)}">${ticks}${line(ours, 26, 'ours')}${line(theirs, 54, 'theirs')}</svg>`;
}

const STYLE = `
:root{color-scheme:light dark;--page:#fff;--text:#1b1f24;--weak:#5b6570;--line:#d8dde3;--ours:#0063a8;--theirs:#5b6570;--bad:#a13100;--good:#00674b}
@media(prefers-color-scheme:dark){:root{--page:#15181c;--text:#e6e9ed;--weak:#a0a9b4;--line:#333a42;--ours:#6cb6f2;--theirs:#a0a9b4;--bad:#ff9b6b;--good:#5fd0ab}}
body{margin:0;background:var(--page);color:var(--text);font:14px/1.5 system-ui,sans-serif}
main{max-width:1040px;margin:0 auto;padding:24px 16px 48px}
h1{font-size:20px;margin:0 0 8px}h2{font-size:16px;margin:32px 0 8px}
.verdict{font-size:18px;margin:0 0 16px;padding-left:12px;border-left:4px solid var(--weak)}
.verdict.better{border-color:var(--good)}.verdict.worse{border-color:var(--bad)}
table{border-collapse:collapse;width:100%;margin:0 0 16px;font-variant-numeric:tabular-nums}
th,td{text-align:left;vertical-align:top;padding:6px 12px 6px 0;border-bottom:1px solid var(--line);overflow-wrap:anywhere}
th{color:var(--weak);font-weight:500}.rows td{white-space:pre-wrap}.rows td:nth-child(n+3){min-width:120px}.rows td:nth-child(-n+2),.rows th{white-space:nowrap}.counts{width:auto}.counts td+td{text-align:right}
svg{width:100%;max-width:${WIDTH}px;height:auto;margin:0 0 16px;display:block}
svg text{fill:var(--text);font-size:13px}.tick{fill:var(--weak)!important;text-anchor:middle;font-size:11px!important}
.grid{stroke:var(--line)}.ours line,.theirs line{stroke-width:3}
.ours line{stroke:var(--ours)}.ours circle{fill:var(--ours)}.theirs line{stroke:var(--theirs)}.theirs circle{fill:var(--theirs)}
.method{color:var(--weak)}@media(max-width:700px){table{display:block;overflow-x:auto}}
`.replaceAll('\n', '');
