import { median } from '@moraine/contract/stats';

/** Loads that one program answered, a round each. */
export interface Figures {
  side: string;
  /** What was asked: answers at once and adapters mixed. */
  rows: number;
  adapters: number;
  /** Which methods the adapters are of; empty for the base. */
  methods: string;
  tokensPerSecond: number[];
  /** Median over the answers of a load. */
  firstMs: number[];
}

/** First tokens with many adapters registered. */
export interface Registered {
  adapters: number;
  asked: number;
  /** Of an adapter that is in a row, and of one that is not. */
  inRowMs: { median: number; p95: number };
  otherMs: { median: number; p95: number };
}

/** Milliseconds to the first token of a second turn, a round each: where it goes on from the first, and where its prompt is read whole. */
export interface SecondTurn {
  prompt: number;
  heldMs: number[];
  wholeMs: number[];
}

export interface ShapeReport {
  shape: string;
  figures: Figures[];
  secondTurn: SecondTurn | null;
  registered: Registered | null;
}

export interface ServingReport {
  date: string;
  environment: Record<string, string | number>;
  versions: Record<string, string>;
  command: string;
  rounds: number;
  prompt: number;
  tokens: number;
  load: [least: number, most: number];
  shapes: ShapeReport[];
}

export function servingMarkdown(report: ServingReport): string {
  const { environment, versions, rounds, prompt, tokens, load } = report;
  const named = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return [
    `# Serving beside transformers, PEFT and llama.cpp, ${report.date}`,
    '',
    `${[environment.processor, `${environment.cores} cores`, `${environment.memory_gb} GB`, environment.system, ...named].join(', ')}.`,
    `The same random weights in float32 everywhere, in float16 besides in llama.cpp. Prompts of ${prompt} tokens come at once, are read whole and answered greedily with ${tokens} tokens each; tokens/s are all tokens by all the time, prompts included. Medians of ${rounds} rounds, in which the programs take turns, in turned order in every second one, after a round that does not count. Load meanwhile: ${load[0].toFixed(1)} to ${load[1].toFixed(1)}.`,
    '',
    ...report.shapes.flatMap(shapeSection),
    '```sh',
    report.command,
    '```',
    '',
  ].join('\n');
}

const digits = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));

function shapeSection({ shape, figures, secondTurn, registered }: ShapeReport): string[] {
  const base = figures.filter(({ methods }) => methods === '');
  const mixed = figures.filter(({ methods }) => methods !== '');
  return [
    `## ${shape}`,
    '',
    ...table('answers at once', base, ({ rows }) => `${rows}`, tokensCell),
    ...table(
      'first token, ms',
      base,
      ({ rows }) => `${rows}`,
      ({ firstMs }) => digits(median(firstMs)),
    ),
    ...table(
      'adapters of rank 8 on all linear layers, 16 rows: tokens/s (share of the base)',
      mixed,
      ({ adapters, methods }) => `${adapters} ${methods}`,
      (one) => `${tokensCell(one)} (${shareOfBase(one, base).toFixed(2)})`,
    ),
    ...(secondTurn === null ? [] : [secondTurnLine(secondTurn), '']),
    ...(registered === null ? [] : [registeredLine(registered), '']),
  ];
}

const tokensCell = ({ tokensPerSecond }: Figures): string => digits(median(tokensPerSecond));

/** Of the same program with as many answers at once, measured in turns with it: the last of those that there are. */
function shareOfBase(one: Figures, base: readonly Figures[]): number {
  const alone = base.findLast(({ side, rows }) => side === one.side && rows === one.rows);
  return median(one.tokensPerSecond) / median(alone?.tokensPerSecond ?? []);
}

/** One line for every `key`, one column for every program. */
function table(
  title: string,
  figures: readonly Figures[],
  key: (one: Figures) => string,
  cell: (one: Figures) => string,
): string[] {
  if (figures.length === 0) return [];
  const sides = [...new Set(figures.map(({ side }) => side))];
  return [
    `| ${title} | ${sides.join(' | ')} |`,
    `|---|${sides.map(() => '--:').join('|')}|`,
    ...[...new Set(figures.map(key))].map((line) => {
      const cells = sides.map((side) => figures.find((one) => one.side === side && key(one) === line));
      return `| ${line} | ${cells.map((one) => (one === undefined ? '' : cell(one))).join(' | ')} |`;
    }),
    '',
  ];
}

const secondTurnLine = ({ prompt, heldMs, wholeMs }: SecondTurn): string =>
  `First token of a second turn of ${prompt} tokens: ${digits(median(heldMs))} ms where it goes on from the first, ${digits(median(wholeMs))} ms where it is read whole.`;

const registeredLine = ({ adapters, asked, inRowMs, otherMs }: Registered): string =>
  `First token with ${adapters} adapters registered, ${asked} asked: p95 ${digits(inRowMs.p95)} ms of one that is in a row, ${digits(otherMs.p95)} ms of one that is not (medians ${digits(inRowMs.median)} and ${digits(otherMs.median)} ms).`;
