#!/usr/bin/env node
// `npm run house`: draws docs/images/house.svg, the rooms and who imports whom, from the imports themselves.
// usage: node scripts/house/house.mjs [--check]   with --check only says whether the committed picture is true
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { folders as folderRules, rooms } from '../check-imports.mjs';
import { arrowsWithin, circlesOf, edgesOf, importsOf, packageOf, upwardImports } from './graph.mjs';
import { labelOf, layOut, nodeHeight } from './layout.mjs';

const picture = 'docs/images/house.svg';
const margin = 28;
const pictureWidth = 1180;
const ink = { text: '#1d2733', faint: '#5b6775', line: '#7b8794', bad: '#d1242f', paper: '#ffffff', edge: '#d5dae0' };
const fills = { apps: '#e3eefc', packages: '#fff3d6', folder: '#eef1f4' };

/** Rooms and their imports of each other: map of room to rooms. `testing` is left out: only tests import it, and it imports anything. */
export function roomArrows(root) {
  const shown = Object.keys(rooms).filter(
    (room) => room !== 'packages/testing' && existsSync(path.join(root, room, 'package.json')),
  );
  const manifest = (room) => JSON.parse(readFileSync(path.join(root, room, 'package.json'), 'utf8'));
  const named = new Map(shown.map((room) => [manifest(room).name, room]));
  const arrows = new Map();
  const eager = new Set();
  for (const room of shown) {
    arrows.set(room, new Set());
    for (const file of edgesOf(root, room).keys()) {
      for (const { name, isLazy } of importsOf(readFileSync(file, 'utf8'))) {
        const target = named.get(packageOf(name));
        if (target === undefined || target === room) continue;
        arrows.get(room).add(target);
        if (!isLazy) eager.add(`${room} ${target}`);
      }
    }
  }
  return { arrows, isLazy: (from, to) => !eager.has(`${from} ${to}`) };
}

/** Folders of a room and their imports of each other; a file beside them is shown only where it is part of a circle. */
export function folderArrows(root, room) {
  const source = path.join(root, room, 'src');
  const edges = edgesOf(root, room);
  const arrows = arrowsWithin(source, edges);
  const inCircle = new Set(circlesOf(arrows).flat());
  const isShown = (name) => !path.extname(name) || inCircle.has(name);
  const against = new Set(
    upwardImports(source, edges, folderRules[`${room}/src`] ?? {}).map(({ from, to }) => `${from} ${to}`),
  );
  return {
    arrows: new Map(
      [...arrows].filter(([name]) => isShown(name)).map(([name, to]) => [name, new Set([...to].filter(isShown))]),
    ),
    isAgainst: (from, to) => against.has(`${from} ${to}`),
  };
}

const asText = (text) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;');

function pathOf([first, ...rest]) {
  let [, y] = first;
  let d = `M${first.join(' ')}`;
  for (const [nextX, nextY] of rest) {
    const [lastX] = /[\d.-]+ [\d.-]+$/.exec(d)[0].split(' ');
    const bend = Math.round((nextY - y) / 2);
    d += ` C${lastX} ${y + bend} ${nextX} ${nextY - bend} ${nextX} ${nextY}`;
    y = nextY;
  }
  return d;
}

/** One graph as SVG lines, its upper left corner at 0 0. */
function draw({ nodes, arrows }, { fillOf, isDashed = () => false, isBad = () => false }) {
  const lines = arrows.map(({ from, to, points, isUpward }) => {
    const bad = isUpward || isBad(from, to);
    const dash = isDashed(from, to) ? ' stroke-dasharray="5 4"' : '';
    const colour = bad ? ink.bad : ink.line;
    return `<path d="${pathOf(points)}" stroke="${colour}"${dash} marker-end="url(#${bad ? 'bad' : 'arrow'})"/>`;
  });
  const boxes = nodes.map(({ name, x, y, width }) => {
    const box = `<rect x="${x - width / 2}" y="${y}" width="${width}" height="${nodeHeight}" rx="6" fill="${fillOf(name)}" stroke="${ink.line}"/>`;
    return `${box}<text x="${x}" y="${y + 20}" text-anchor="middle">${asText(labelOf(name))}</text>`;
  });
  return [...lines, ...boxes];
}

/** A titled panel with a graph in it: {width, height, lines}. */
function panel(title, layout, look) {
  const width = Math.round(Math.max(layout.width, title.length * 8) + 2 * 20);
  const height = layout.height + 62;
  const left = Math.round((width - layout.width) / 2);
  return {
    width,
    height,
    lines: [
      `<rect width="${width}" height="${height}" rx="10" fill="${ink.paper}" stroke="${ink.edge}"/>`,
      `<text x="18" y="26" font-weight="600">${asText(title)}</text>`,
      `<g transform="translate(${left} 44)" fill="none">`,
      ...draw(layout, look),
      '</g>',
    ],
  };
}

/** Panels from left to right, in rows. */
function arrange(panels, width, gap) {
  const rows = [];
  for (const item of panels) {
    const row = rows.at(-1);
    const used = row?.reduce((sum, other) => sum + other.width + gap, 0) ?? Number.POSITIVE_INFINITY;
    if (used + item.width > width) rows.push([item]);
    else row.push(item);
  }
  let y = 0;
  const placed = [];
  for (const row of rows) {
    let x = 0;
    for (const item of row) {
      placed.push({ ...item, x, y });
      x += item.width + gap;
    }
    y += Math.max(...row.map(({ height }) => height)) + gap;
  }
  return { placed, height: y - gap };
}

/** The picture of the house below `root`, as the text of an SVG file. */
export function drawHouse(root) {
  const { arrows, isLazy } = roomArrows(root);
  const house = panel(
    'Packages and apps: who imports is above what it imports; dashed is loaded later',
    layOut(arrows),
    {
      fillOf: (name) => fills[name.split('/')[0]],
      isDashed: isLazy,
    },
  );
  const inside = Object.keys(rooms).flatMap((room) => {
    if (!arrows.has(room)) return [];
    const { arrows: within, isAgainst } = folderArrows(root, room);
    if (within.size < 2) return [];
    return [panel(`in ${room}`, layOut(within), { fillOf: () => fills.folder, isBad: isAgainst })];
  });
  const gap = 18;
  const { placed, height } = arrange(
    [house, ...inside.sort((a, b) => b.height - a.height)],
    pictureWidth - 2 * margin,
    gap,
  );
  const full = height + 2 * margin + 26;
  const marker = (id, colour) =>
    `<marker id="${id}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L10 5L0 10z" fill="${colour}"/></marker>`;
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" width="${pictureWidth}" height="${full}" viewBox="0 0 ${pictureWidth} ${full}" font-family="system-ui, sans-serif" font-size="13">`,
    '<title>The rooms of Moraine and who imports whom</title>',
    '<!-- Made by `npm run house` from the imports; do not edit. -->',
    `<defs>${marker('arrow', ink.line)}${marker('bad', ink.bad)}<style>text{fill:${ink.text}}path{stroke-width:1.4}</style></defs>`,
    `<rect width="${pictureWidth}" height="${full}" rx="12" fill="#f6f8fa"/>`,
    ...placed.flatMap(({ x, y, lines }) => [
      `<g transform="translate(${x + margin} ${y + margin})">`,
      ...lines,
      '</g>',
    ]),
    `<text x="${margin}" y="${full - 18}" fill="${ink.faint}" font-size="12">Within a room, arrows between folders; single files beside them are not drawn. Red: an import that goes upward, or round in a circle.</text>`,
    '</svg>',
  ].join('\n')}\n`;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
  const file = path.join(root, picture);
  const drawn = drawHouse(root);
  if (!process.argv.includes('--check')) writeFileSync(file, drawn);
  else if (!existsSync(file) || readFileSync(file, 'utf8') !== drawn) {
    console.error(`${picture} is not what the imports say. Run: npm run house`);
    process.exit(1);
  }
}
