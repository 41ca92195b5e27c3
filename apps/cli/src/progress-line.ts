import { isTerminal, print, widthOf } from './terminal.js';

/** One line that changes in place; without a terminal, one plain line each time that `step` changes. */
export interface ProgressLine {
  show(line: string, step: string): void;
  clear(): void;
}

export function progressLine(): ProgressLine {
  let shown = '';
  let lastStep = '';
  return {
    show(line, step) {
      if (!isTerminal()) {
        if (step !== lastStep) print(line);
        lastStep = step;
        return;
      }
      const cut = line.slice(0, (process.stdout.columns ?? 80) - 1);
      process.stdout.write(`\r${cut}${' '.repeat(Math.max(0, widthOf(shown) - widthOf(cut)))}`);
      shown = cut;
    },
    clear() {
      if (isTerminal() && shown !== '') process.stdout.write(`\r${' '.repeat(widthOf(shown))}\r`);
      shown = '';
    },
  };
}
