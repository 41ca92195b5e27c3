import { LINE_BYTES_MAX } from '../lines.js';
import { readText } from './read-text.js';
import { badFile, type SourceRow } from './source-row.js';

const WHOLE = 'Write one JSON list of objects, or an object a line.';

/**
 * Streams the items of a file that is one JSON list, each as it is written.
 * @throws AppError `invalid_file` for a list that does not end, text behind it, or an item longer than a row may be.
 */
export async function* readItems(file: string): AsyncGenerator<SourceRow> {
  const reader = new ListReader();
  for await (const text of readText(file)) {
    for (const letter of text) {
      const item = reader.take(letter);
      if (item) yield item;
    }
  }
  reader.finish();
}

class ListReader {
  private line = 1;
  /** How deep in brackets: 1 between the items. */
  private depth = 0;
  private isOver = false;
  private isText = false;
  private isEscaped = false;
  private item = '';
  private itemLine = 1;

  /** Takes the next letter; returns the item that it ends. */
  take(letter: string): SourceRow | null {
    if (letter === '\n') this.line += 1;
    if (this.isText) return this.keepText(letter);
    if (this.depth === 0) return this.takeOutside(letter);
    if (this.depth === 1 && (letter === ',' || letter === ']')) return this.endItem(letter);
    if (this.item !== '' || letter.trim() !== '') this.keep(letter);
    return null;
  }

  finish(): void {
    if (!this.isOver) throw badFile(this.line, 'the list does not end.', 'Was the file cut?');
  }

  private keepText(letter: string): null {
    this.add(letter);
    if (this.isEscaped) this.isEscaped = false;
    else if (letter === '\\') this.isEscaped = true;
    else if (letter === '"') this.isText = false;
    return null;
  }

  private takeOutside(letter: string): null {
    if (letter === '[' && !this.isOver) this.depth = 1;
    else if (letter.trim() !== '') throw badFile(this.line, `${JSON.stringify(letter)} is outside the list.`, WHOLE);
    return null;
  }

  private endItem(letter: string): SourceRow | null {
    const { item, itemLine: line } = this;
    if (item === '' && letter === ',') throw badFile(this.line, 'a comma has nothing before it.', WHOLE);
    this.item = '';
    if (letter === ']') this.isOver = true;
    if (letter === ']') this.depth = 0;
    return item === '' ? null : { line, written: item.trimEnd() };
  }

  private keep(letter: string): void {
    if (this.item === '') this.itemLine = this.line;
    if (letter === '"') this.isText = true;
    if (letter === '[' || letter === '{') this.depth += 1;
    if (letter === ']' || letter === '}') this.depth -= 1;
    // Between the parts of an item a line break is white space.
    this.add(letter === '\n' || letter === '\r' ? ' ' : letter);
  }

  private add(letter: string): void {
    this.item += letter;
    if (this.item.length > LINE_BYTES_MAX) throw badFile(this.itemLine, 'the item is longer than 16 MiB.', WHOLE);
  }
}
