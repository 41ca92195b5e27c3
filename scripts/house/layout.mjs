// Places the nodes of a small graph on floors so that arrows go down: who imports is above what it imports.
import { circlesOf } from './graph.mjs';

const gapX = 18;
const floorHeight = 74;
export const nodeHeight = 30;
const bendWidth = 12;

/** What is written on a node: packages and apps without their folder. */
export const labelOf = (name) => name.replace(/^(apps|packages)\//, '');

const widthOf = (name) => 2 * Math.round(labelOf(name).length * 3.8 + 11);

/** Arrows that must turn round for the rest to have no circle: the last of each circle, until there is none. */
export function arrowsAgainst(graph) {
  const down = new Map([...graph].map(([from, to]) => [from, new Set(to)]));
  const against = [];
  for (let [circle] = circlesOf(down); circle !== undefined; [circle] = circlesOf(down)) {
    const [from, to] = circle.slice(-2);
    down.get(from).delete(to);
    against.push([from, to]);
  }
  return { down, against };
}

function floorsOf(down) {
  const floors = new Map();
  const floorOf = (node) => {
    if (!floors.has(node)) {
      const below = [...(down.get(node) ?? [])].map(floorOf);
      floors.set(node, below.length === 0 ? 0 : Math.max(...below) + 1);
    }
    return floors.get(node);
  };
  for (const node of down.keys()) floorOf(node);
  return floors;
}

/** Rows of {name, width}, the top floor first; an arrow over several floors bends once on each floor between. */
function rowsOf(down) {
  const floors = floorsOf(down);
  const top = Math.max(...floors.values());
  const rows = Array.from({ length: top + 1 }, () => []);
  for (const [name, floor] of floors) rows[top - floor].push({ name, width: widthOf(name), floor, links: [] });
  const nodes = new Map(rows.flat().map((node) => [node.name, node]));
  const routes = [];
  for (const [from, targets] of down) {
    for (const to of [...targets].sort()) {
      const route = [nodes.get(from)];
      for (let floor = nodes.get(from).floor - 1; floor > nodes.get(to).floor; floor--) {
        const bend = { name: '', width: bendWidth, floor, links: [] };
        rows[top - floor].push(bend);
        route.push(bend);
      }
      route.push(nodes.get(to));
      for (let i = 0; i + 1 < route.length; i++) {
        route[i].links.push(route[i + 1]);
        route[i + 1].links.push(route[i]);
      }
      routes.push({ from, to, route });
    }
  }
  return { rows, nodes, routes };
}

/** Puts a row's nodes side by side, each as near to its wish as the others leave room for. */
function spread(row) {
  let left = 0;
  for (const node of row) {
    node.x = Math.max(node.wish, left + node.width / 2);
    left = node.x + node.width / 2 + gapX;
  }
  // What was pushed right goes back by half of it: both neighbours share the shift.
  const shift = row.reduce((sum, node) => sum + node.x - node.wish, 0) / row.length;
  for (const node of row) node.x -= shift;
}

const mean = (values, otherwise) =>
  values.length === 0 ? otherwise : values.reduce((sum, value) => sum + value, 0) / values.length;

/**
 * Layout of a graph (map of name to the names it imports): {nodes: [{name, x, y, width}], arrows: [{from, to, points, isUpward}],
 * width, height}; x is a node's middle, y its upper edge. The same graph always gets the same layout.
 * @returns {{nodes: {name: string, x: number, y: number, width: number}[],
 *   arrows: {from: string, to: string, points: number[][], isUpward: boolean}[], width: number, height: number}}
 */
export function layOut(graph) {
  const sorted = new Map(
    [...graph].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, to]) => [name, new Set([...to].sort())]),
  );
  const { down, against } = arrowsAgainst(sorted);
  const { rows, nodes, routes } = rowsOf(down);
  for (const row of rows) {
    for (const node of row) node.wish = 0;
    spread(row);
  }
  for (let sweep = 0; sweep < 24; sweep++) {
    for (const row of sweep % 2 === 0 ? rows : [...rows].reverse()) {
      for (const node of row)
        node.wish = mean(
          node.links.map((other) => other.x),
          node.x,
        );
      row.sort((a, b) => a.wish - b.wish);
      spread(row);
    }
  }
  const left = Math.min(...rows.flat().map(({ x, width }) => x - width / 2));
  rows.forEach((row, i) => {
    for (const node of row) {
      node.x = Math.round(node.x - left);
      node.y = i * floorHeight;
    }
  });
  const arrows = routes.map(({ from, to, route }) => ({ from, to, points: pointsOf(route), isUpward: false }));
  for (const [from, to] of against)
    arrows.push({ from, to, points: upwardPoints(nodes.get(from), nodes.get(to)), isUpward: true });
  return {
    nodes: [...nodes.values()],
    arrows,
    width: Math.max(...rows.flat().map(({ x, width }) => x + width / 2)),
    height: (rows.length - 1) * floorHeight + nodeHeight,
  };
}

/** Where an arrow touches a node: on the side of the other end, but on the node. */
const port = (node, other) => {
  const room = node.width / 2 - 10;
  return Math.round(node.x + Math.max(-room, Math.min(room, (other.x - node.x) / 4)));
};

function pointsOf(route) {
  const last = route.length - 1;
  return route.flatMap((node, i) => {
    if (i === 0) return [[port(node, route[1]), node.y + nodeHeight]];
    if (i === last) return [[port(node, route[last - 1]), node.y]];
    return [
      [node.x, node.y],
      [node.x, node.y + nodeHeight],
    ];
  });
}

const upwardPoints = (from, to) => [
  [from.x + 8, from.y],
  [to.x + 8, to.y + nodeHeight],
];
