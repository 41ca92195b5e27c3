#!/usr/bin/env node
// `npm run mutate`: breaks the code in a scratch copy, once for each mutation of the list, and fails unless the named test sees it.
// usage: node scripts/mutate/mutate.mjs [--only NAME] [--list]   --only (may be repeated): those whose name has NAME in it; a whole run writes docs/mutations.md
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { mutations } from './mutations.mjs';
import { makeScratch, runTests, tryMutation } from './run.mjs';
import { table } from './table.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const { values } = parseArgs({ options: { only: { type: 'string', multiple: true }, list: { type: 'boolean' } } });
const wanted = mutations.filter(({ name }) => values.only?.some((part) => name.includes(part)) ?? true);

/** Names of tests that do not pass on the code as it is: what they say of a mutation is worth nothing. */
function failingBefore(folder) {
  const files = [...new Set(wanted.map(({ testFile }) => testFile))];
  const names = [...new Set(wanted.map(({ test }) => test))];
  const statuses = runTests(folder, files, names);
  return names.filter((name) => statuses.get(name) !== 'passed');
}

function main() {
  if (values.list || wanted.length === 0) {
    for (const { name, file } of mutations) console.log(`${name}   ${file}`);
    return values.list ? 0 : 2;
  }
  const scratch = makeScratch(root);
  try {
    const failing = failingBefore(scratch.path);
    for (const name of failing) console.error(`does not pass without a mutation, or is not there: ${name}`);
    const results = wanted.map((mutation) => {
      const result = tryMutation(scratch.path, mutation);
      console.log(`${result.outcome.padEnd(9)} ${result.seconds.toFixed(1).padStart(5)} s  ${result.name}`);
      if (result.note !== '') console.error(`          ${result.note}`);
      return result;
    });
    const isWhole = results.every(({ outcome }) => outcome === 'killed') && failing.length === 0;
    if (isWhole && values.only === undefined) writeFileSync(path.join(root, 'docs/mutations.md'), table(results));
    console.log(`${results.filter(({ outcome }) => outcome === 'killed').length} of ${results.length} killed`);
    return isWhole ? 0 : 1;
  } finally {
    scratch.remove();
  }
}

process.exitCode = main();
