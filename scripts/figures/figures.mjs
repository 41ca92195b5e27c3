#!/usr/bin/env node
// `npm run figures`: sizes and shape of the house, as a table.
// usage: node scripts/figures/figures.mjs [--check] [--root DIR]   --check fails where a limit is not kept; --root measures another tree
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { folders, rooms } from '../check-imports.mjs';
import { measure } from './measure.mjs';

const bareMost = 0.05;
const testsLeast = 0.8;
/** Rooms where behaviour is. */
const tested = ['packages/services', 'packages/recipes', 'apps/worker', 'apps/cli'];

/** Which limits the figures break, one sentence each. */
export function brokenLimits({ rooms: measured, circles, upward, errors, naming }) {
  const problems = [];
  for (const circle of circles) problems.push(`circle of folders in ${circle}`);
  for (const arrow of upward) problems.push(`upward import in ${arrow}`);
  if (errors.bare > bareMost * errors.all)
    problems.push(`${errors.bare} of ${errors.all} errors are a bare Error; at most ${100 * bareMost} % may be`);
  for (const name of naming) problems.push(`${name} names a method`);
  for (const { room, lines, testLines } of measured) {
    if (tested.includes(room) && testLines < testsLeast * lines)
      problems.push(
        `${room} has ${(testLines / lines).toFixed(2)} lines of tests per line of source; ${testsLeast} is the least`,
      );
  }
  return problems;
}

function print({ rooms: measured, functions, circles, upward, errors, naming }) {
  const row = (...cells) => console.log(`| ${cells.join(' | ')} |`);
  row('room', 'files', 'lines', 'test lines', 'tests per line');
  row('---', '---:', '---:', '---:', '---:');
  for (const { room, files, lines, testLines } of measured)
    row(room, files, lines, testLines, (testLines / lines).toFixed(2));
  const sum = (key) => measured.reduce((total, room) => total + room[key], 0);
  row('all', sum('files'), sum('lines'), sum('testLines'), (sum('testLines') / sum('lines')).toFixed(2));
  console.log();
  row('figure', 'value');
  row('---', '---');
  row('functions with a name', functions.count);
  row('their lines: median, p90', `${functions.median}, ${functions.p90}`);
  row('longest', `${functions.longest.lines} (\`${functions.longest.name}\` in ${functions.longest.file})`);
  row('circles of folders', circles.length);
  row('upward arrows between folders', upward.length);
  row('files that name a method outside its rows', naming.length);
  row('bare Error', `${errors.bare} of ${errors.all}, ${((100 * errors.bare) / errors.all).toFixed(1)} %`);
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values } = parseArgs({ options: { check: { type: 'boolean' }, root: { type: 'string' } } });
  const root = values.root ?? path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
  const figures = measure(path.resolve(root), Object.keys(rooms), folders);
  print(figures);
  const problems = values.check ? brokenLimits(figures) : [];
  if (problems.length > 0) console.error(`\n${problems.join('\n')}`);
  process.exitCode = problems.length > 0 ? 1 : 0;
}
