// The committed table of mutations.

const inCell = (text) => text.replaceAll('|', '\\|');

/** docs/mutations.md of the results of a whole run. */
export function table(results) {
  const lines = results.map(
    ({ name, file, testFile, test, seconds }) =>
      `| ${inCell(name)} | \`${file}\` | ${inCell(test)} (\`${testFile}\`) | ${seconds.toFixed(1)} |`,
  );
  return `${[
    '# Mutations',
    '',
    'Faults that were put into the code on purpose, and the test that sees each. Written by `npm run mutate`, which applies them one at a time',
    'in a copy and fails where the named test does not, or where the text that a fault replaces is no longer there.',
    '',
    '| fault | in | seen by | seconds |',
    '|---|---|---|---:|',
    ...lines,
  ].join('\n')}\n`;
}
