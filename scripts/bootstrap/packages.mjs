// npm packages: installed only when node_modules does not hold what package-lock.json says.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { step } from './console.mjs';
import { must, npm } from './run.mjs';

const marker = (root) => path.join(root, 'node_modules', '.moraine-packages');

export function packagesAreInstalled(root) {
  const lock = readFileSync(path.join(root, 'package-lock.json'));
  const hash = `${createHash('sha256').update(lock).digest('hex')} ${process.platform}-${process.arch}`;
  const hidden = path.join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(hidden)) return false;
  const locked = JSON.parse(lock.toString()).packages;
  // What was recorded may be of another folder, a copy say, or one whose files are links to it: what a package is in must be there.
  if (!neededPlaces(locked).every((place) => existsSync(path.join(root, place)))) return false;
  if (existsSync(marker(root)) && readFileSync(marker(root), 'utf8') === hash) return true;
  // Someone ran npm by hand: compare what npm recorded with the lock file.
  if (!agrees(locked, JSON.parse(readFileSync(hidden, 'utf8')).packages)) return false;
  // Never through a link that another folder has, too.
  rmSync(marker(root), { force: true });
  writeFileSync(marker(root), hash);
  return true;
}

function agrees(locked, installed) {
  for (const [place, { version, link }] of Object.entries(installed)) {
    if (locked[place] === undefined || (!link && locked[place].version !== version)) return false;
  }
  return neededPlaces(locked).every((place) => installed[place] !== undefined);
}

/** Folders and links below node_modules that every installation has. */
const neededPlaces = (locked) =>
  Object.entries(locked).flatMap(([place, { optional, peer }]) =>
    place.startsWith('node_modules/') && !optional && !peer ? [place] : [],
  );

export async function ensurePackages(root) {
  await step('packages', 'npm ci', async (tell) => {
    await must([...npm(), 'ci', '--ignore-scripts', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'], {
      cwd: root,
    });
    const count = Object.keys(
      JSON.parse(readFileSync(path.join(root, 'node_modules', '.package-lock.json'), 'utf8')).packages,
    );
    tell(`${count.length} npm packages`);
  });
  packagesAreInstalled(root); // writes the marker
}
