#!/usr/bin/env node
// Time that passes is measured by performance.now(), which only goes on: somebody who sets the clock back would otherwise hold what
// waits for as long as the step was. Date.now() is for times that are stored or shown.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

/** A page shows ages of what the server said, by the clock of its reader; the tools of tests set clocks. */
const APART = /^(apps\/dashboard|packages\/testing)\//;
/** A deadline, a moment to count from, or a comparison with one. */
const MEASURES = [
  /= Date\.now\(\);/,
  /(?<!new Date\()Date\.now\(\) \+ /,
  /[<>]=? Date\.now\(\)/,
  /Date\.now\(\) [<>]/,
  /- Date\.now\(\)/,
];
/** What the outside says is a date. */
const STORED = /Date\.parse\(/;

/** Places of the sources below `root` where time that passes is measured by the clock of the machine, as sentences. */
export function checkClock(root) {
  const found = [];
  for (const area of ['apps', 'packages']) {
    for (const name of readdirSync(path.join(root, area), { recursive: true, encoding: 'utf8' })) {
      const file = `${area}/${name.replaceAll(path.sep, '/')}`;
      if (!/^[^/]+\/[^/]+\/src\/.*\.tsx?$/.test(file) || APART.test(file)) continue;
      const lines = readFileSync(path.join(root, file), 'utf8').split('\n');
      for (const [i, line] of lines.entries()) {
        if (MEASURES.some((pattern) => pattern.test(line)) && !STORED.test(line))
          found.push(`${file}:${i + 1} measures time by Date.now(), which may be set back; use performance.now()`);
      }
    }
  }
  return found;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const found = checkClock(path.resolve(path.dirname(process.argv[1]), '..'));
  for (const one of found) console.error(one);
  process.exit(found.length === 0 ? 0 : 1);
}
