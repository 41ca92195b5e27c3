import { duration, isTerminal, paint } from '../terminal.js';
import { secondsLeft, type WatchedRun } from './watch.js';

export interface Bars {
  /** Prints a line above the bars. */
  note(line: string): void;
  close(): void;
}

const BAR = 24;
/** Letters kept for what is said behind the bar: on a narrow terminal the bar is shorter, so that no line wraps. */
const TAIL_LEAST = 12;
const REDRAW_MS = 150;
/** Without a terminal: a line a run each time that this share of its steps is done. */
const PLAIN_SHARE = 0.1;

/**
 * One line a run with step, loss, tokens per second and time left, drawn in place: the whole block goes out in one write and only when it
 * has changed, so that nothing flickers. Without a terminal plain lines are printed now and then.
 */
export function showBars(runs: WatchedRun[]): Bars {
  return isTerminal() ? drawnBars(runs) : plainBars(runs);
}

function drawnBars(runs: WatchedRun[]): Bars {
  let shown = '';
  const draw = (above = ''): void => {
    const columns = (process.stdout.columns ?? 80) - 1;
    const block = runs.map((run) => barLine(run, columns)).join('\n');
    if (block === shown && above === '') return;
    const up = shown === '' ? '' : `\u001b[${runs.length - 1}A`;
    const clean = block.replaceAll('\n', '\u001b[K\n');
    process.stdout.write(
      `\u001b[?2026h\r${up}${above === '' ? '' : `${above}\u001b[K\n`}${clean}\u001b[K\u001b[?2026l`,
    );
    shown = block;
  };
  process.stdout.write('\u001b[?25l');
  draw();
  const timer = setInterval(draw, REDRAW_MS);
  return {
    note: draw,
    close() {
      clearInterval(timer);
      draw();
      process.stdout.write('\n\u001b[?25h');
    },
  };
}

function plainBars(runs: WatchedRun[]): Bars {
  const printed = new Map<string, string>();
  const look = (): void => {
    for (const run of runs) {
      const tenth = Math.floor(run.step / Math.max(1, Math.round(run.steps * PLAIN_SHARE)));
      const key = `${run.status} ${tenth} ${run.step === 0 ? run.note : ''}`;
      if (printed.get(run.id) === key) continue;
      printed.set(run.id, key);
      process.stdout.write(`${barLine(run, 200)}\n`);
    }
  };
  const timer = setInterval(look, REDRAW_MS);
  return {
    note: (line) => process.stdout.write(`${line}\n`),
    close() {
      clearInterval(timer);
      look();
    },
  };
}

function barLine(run: WatchedRun, columns: number): string {
  const share = run.steps === 0 ? 0 : Math.min(1, run.step / run.steps);
  const colour =
    run.status === 'failed' || run.status === 'cancelled' ? 'red' : run.status === 'succeeded' ? 'green' : 'cyan';
  const head = `${run.label.padEnd(14)} `;
  const counts = ` ${String(run.step).padStart(String(run.steps).length)}/${run.steps}`;
  const left = secondsLeft(run);
  const tail = [
    run.loss === null ? '' : `loss ${run.loss.toFixed(4)}`,
    run.tokensPerSecond === null ? '' : `${Math.round(run.tokensPerSecond).toLocaleString('en')} tokens/s`,
    phrase(run, left),
  ]
    .filter((part) => part !== '')
    .join('  ');
  // Cut before painting: colours must not count, and must not be cut in half.
  const free = columns - head.length - counts.length - 2;
  const width = Math.max(0, Math.min(BAR, free - TAIL_LEAST));
  const full = Math.round(share * width);
  const room = free - width;
  const bar = paint(colour, '━'.repeat(full)) + paint('dim', '─'.repeat(width - full));
  return `${head}${bar}${counts}  ${tail.length > room ? `${tail.slice(0, Math.max(0, room - 1))}…` : tail}`;
}

function phrase(run: WatchedRun, left: number | null): string {
  if (run.status === 'succeeded') return 'done';
  if (run.status === 'failed' || run.status === 'cancelled')
    return `${run.status}${run.note === '' ? '' : `: ${run.note}`}`;
  if (run.step >= run.steps && run.steps > 0) return 'evaluating';
  if (run.step === 0 || left === null) return run.note === '' ? run.status : run.note;
  return `${duration(left)} left`;
}
