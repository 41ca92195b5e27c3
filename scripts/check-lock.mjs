#!/usr/bin/env node
// package-lock.json must be complete for every platform, free of registry addresses, and agree with every package.json.
// A mirror that lacks some platform's packages makes npm leave them out without a word, and `npm ci` then stops elsewhere.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { npm } from './bootstrap/run.mjs';

const root = path.resolve(path.dirname(process.argv[1] ?? '.'), '..');
const text = readFileSync(path.join(root, 'package-lock.json'), 'utf8');
const { packages } = JSON.parse(text);
const problems = [];

const address = /"https?:\/\/(?!(opencollective|github|www\.|paulmillr|tidelift|feross|ko-fi|patreon))[^"]*\.tgz"/.exec(
  text,
);
if (address !== null)
  problems.push(
    `it holds a registry's address: ${address[0]}. Run npm with omit-lockfile-registry-resolved=true (.npmrc).`,
  );

for (const [place, { optionalDependencies = {} }] of Object.entries(packages)) {
  for (const name of Object.keys(optionalDependencies)) {
    const candidates = placesAbove(place).map((above) => `${above}node_modules/${name}`);
    if (!candidates.some((candidate) => candidate in packages))
      problems.push(`${name}, optional part of ${place || 'the root'}, is missing`);
  }
}
const macs = (text.match(/darwin-arm64/g) ?? []).length;
if (macs < 16)
  problems.push(
    `it names darwin-arm64 ${macs} times, at least 16 are expected: packages of other platforms were left out`,
  );

function placesAbove(place) {
  const places = [''];
  for (let at = place; at !== ''; at = at.slice(0, Math.max(0, at.lastIndexOf('/node_modules/')))) {
    places.unshift(`${at}/`);
    if (!at.includes('/node_modules/')) break;
  }
  return places;
}

/** It takes two seconds where npm need not ask a registry. */
const DRY_RUN_MS = 120_000;
const [program, ...first] = npm();
const dry = spawnSync(program, [...first, 'ci', '--dry-run', '--ignore-scripts', '--no-audit', '--no-fund'], {
  cwd: root,
  encoding: 'utf8',
  timeout: DRY_RUN_MS,
});
if (dry.error?.code === 'ETIMEDOUT')
  problems.push(`npm ci --dry-run did not end within ${DRY_RUN_MS / 1000} s. Does npm reach its registry?`);
else if (dry.status !== 0) problems.push(`npm ci --dry-run says:\n${dry.stderr.trim()}`);

for (const problem of problems) console.error(`package-lock.json: ${problem}`);
if (problems.length > 0) process.exit(1);
