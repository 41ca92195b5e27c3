import { expect, test } from 'vitest';
import { brokenLimits } from '../figures.mjs';
import { errorsOf, functionsOf, namesMethod, withoutComments } from '../measure.mjs';

test('functions with a name are measured from their first line to their last, callbacks belong to the function around them', () => {
  const text = `export function first(a: number): number {
  return [a].map((x) => {
    return x;
  })[0] ?? 0;
}
const second = <T,>(x: T): T => x;
class Third {
  #run() {
    return 1;
  }
}
`;
  expect(functionsOf('a.ts', text)).toEqual([
    { name: 'first', lines: 5 },
    { name: 'second', lines: 1 },
    { name: 'run', lines: 3 },
  ]);
});

test('a bare Error is counted apart from errors of the product', () => {
  const text = "throw new Error('x'); throw new AppError('y'); const e = new EngineError('z'); throw e; new Map();";
  expect(errorsOf('a.ts', text)).toEqual({ all: 3, bare: 1 });
});

test.each([
  ["const kind = 'lora';", true],
  ['initLora(w)', true],
  ["label: 'MoRA'", true],
  ["import { x } from './mora.js'", true],
  ["name: 'moraine'", false],
  ['exploration', false],
  ["name: 'Moraine'", false],
  ['// how lora does it', false],
])('whether %s names a method: %s', (code, isNamed) => {
  expect(namesMethod(withoutComments('a.ts', code), ['lora', 'mora'])).toBe(isNamed);
});

test('each limit that is broken is a sentence', () => {
  const kept = {
    rooms: [
      { room: 'packages/services', lines: 100, testLines: 80, files: 1 },
      { room: 'packages/data', lines: 100, testLines: 0, files: 1 },
    ],
    circles: [],
    upward: [],
    errors: { all: 100, bare: 5 },
    naming: [],
  };
  expect(brokenLimits(kept)).toEqual([]);
  const broken = {
    rooms: [{ room: 'packages/services', lines: 100, testLines: 79, files: 1 }],
    circles: ['x: a → b → a'],
    upward: ['x: a → b'],
    errors: { all: 100, bare: 6 },
    naming: ['apps/x.ts'],
  };
  expect(brokenLimits(broken)).toEqual([
    'circle of folders in x: a → b → a',
    'upward import in x: a → b',
    '6 of 100 errors are a bare Error; at most 5 % may be',
    'apps/x.ts names a method',
    'packages/services has 0.79 lines of tests per line of source; 0.8 is the least',
  ]);
});
