import { vi } from 'vitest';

export interface Screen {
  /** Everything that was written to standard output. */
  text(): string;
  close(): void;
}

/** Keeps what is written to standard output, as a terminal of so many columns gets it, or as a file does (`columns` null). */
export function watchScreen(columns: number | null): Screen {
  const { isTTY, columns: before } = process.stdout;
  let text = '';
  const spy = vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    text += String(chunk);
    return true;
  });
  Object.assign(process.stdout, { isTTY: columns !== null, columns: columns ?? undefined });
  return {
    text: () => text,
    close() {
      spy.mockRestore();
      Object.assign(process.stdout, { isTTY, columns: before });
    },
  };
}

/** The lines a terminal shows in the end: carriage returns, cursor up and erase to the end of a line are followed, colours are left out. */
export function shownLines(text: string): string[] {
  const lines: string[] = [''];
  let [row, column] = [0, 0];
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a terminal is driven by control characters
  for (const [piece, , argument, letter] of text.matchAll(/\u001b\[(\??)([\d;]*)([A-Za-z])|[\s\S]/gu)) {
    if (letter === 'A') row -= Number(argument || 1);
    else if (letter === 'K') lines[row] = (lines[row] ?? '').slice(0, column);
    else if (letter !== undefined) continue;
    else if (piece === '\r') column = 0;
    else if (piece === '\n') {
      row++;
      column = 0;
      lines[row] ??= '';
    } else {
      const line = (lines[row] ?? '').padEnd(column);
      lines[row] = line.slice(0, column) + piece + line.slice(column + 1);
      column++;
    }
  }
  return lines.map((line) => line.trimEnd());
}
