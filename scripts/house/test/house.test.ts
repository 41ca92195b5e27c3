import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { drawHouse } from '../house.mjs';
import { layOut } from '../layout.mjs';

const root = mkdtempSync(path.join(tmpdir(), 'moraine house '));
afterAll(() => rmSync(root, { recursive: true, force: true }));
beforeEach(() => rmSync(root, { recursive: true, force: true }));

function write(name: string, text: string): void {
  mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
  writeFileSync(path.join(root, name), text);
}
const graph = (arrows: Record<string, string[]>) =>
  new Map(Object.entries(arrows).map(([from, to]) => [from, new Set(to)]));

describe('layout', () => {
  test('who imports is above what it imports, over as many floors as it takes', () => {
    const { nodes, arrows } = layOut(graph({ index: ['a', 'c'], a: ['b'], b: ['c'], c: [] }));
    const y = new Map(nodes.map((node) => [node.name, node.y]));
    for (const { from, to } of arrows) expect(y.get(from)).toBeLessThan(y.get(to) ?? 0);
    expect(arrows).toHaveLength(4);
    expect(arrows.filter(({ isUpward }) => isUpward)).toEqual([]);
  });

  test('nodes of one floor do not overlap', () => {
    const { nodes } = layOut(graph({ top: ['first', 'second', 'third'], first: [], second: [], third: [] }));
    const floor = nodes.filter(({ name }) => name !== 'top').sort((a, b) => a.x - b.x);
    for (const [i, node] of floor.slice(1).entries())
      expect(node.x - node.width / 2).toBeGreaterThan((floor[i]?.x ?? 0) + (floor[i]?.width ?? 0) / 2);
  });

  test('a circle is drawn with one arrow upward', () => {
    const { arrows } = layOut(graph({ a: ['b'], b: ['c'], c: ['a'] }));
    expect(arrows.filter(({ isUpward }) => isUpward)).toHaveLength(1);
  });
});

test('the picture has the rooms, their folders and one arrow an import; a circle is red, and the same sources give the same picture', () => {
  write('packages/contract/package.json', JSON.stringify({ name: '@moraine/contract' }));
  write('packages/data/package.json', JSON.stringify({ name: '@moraine/data' }));
  write('packages/contract/src/index.ts', '');
  write('packages/data/src/rows/a.ts', "import { x } from '@moraine/contract';\nimport '../tokens/b.js';\n");
  write('packages/data/src/tokens/b.ts', '');
  const picture = drawHouse(root);
  expect(picture).toContain('>contract</text>');
  expect(picture).toContain('>tokens</text>');
  expect(picture.match(/url\(#arrow\)/g)).toHaveLength(2);
  expect(picture).not.toContain('url(#bad)');
  expect(drawHouse(root)).toBe(picture);
  write('packages/data/src/tokens/c.ts', "import '../rows/a.js';\n");
  expect(drawHouse(root).match(/url\(#bad\)/g)).toHaveLength(1);
});
