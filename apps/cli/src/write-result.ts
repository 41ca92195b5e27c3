import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { type Arguments, text } from './args.js';
import { print } from './terminal.js';

/** Prints a result, or writes it to the file of `--out` and prints where that is. */
export function writeResult(args: Arguments, written: string): number {
  const out = text(args, 'out');
  if (out === undefined) print(written.trimEnd());
  else {
    writeFileSync(path.resolve(out), written);
    print(path.resolve(out));
  }
  return 0;
}
