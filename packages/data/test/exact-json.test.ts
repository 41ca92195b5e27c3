import { expect, test } from 'vitest';
import { DEPTH_MAX, readExact } from '../src/exact-json.js';
import { toJson } from '../src/jinja/values.js';

const again = (text: string): string => toJson(readExact(text).value);

test('what is written comes back as it was, numbers and the order of keys included', () => {
  const texts = [
    '{"b": 1170735493917552650, "a": 1.0, "10": 1e5, "2": -0.0, "__proto__": {"x": 1E-7}}',
    '[true, false, null, "", [], {}, 9223372036854775807, 0.1000]',
    '"a \\"quote\\", a \\\\ and é"',
    '{"a": {"b": [{"c": []}]}, "": ""}',
  ];
  for (const text of texts) expect(again(text)).toBe(text);
});

test('escapes are read, and a backslash before the closing quote ends nothing', () => {
  expect(readExact('{"a\\u0062": "x\\\\", "c": "\\\\\\"y"}').value).toEqual(
    new Map([
      ['ab', 'x\\'],
      ['c', '\\"y'],
    ]),
  );
});

test('white space between values is passed over', () => {
  expect(again(' {\n "a" :\t[ 1 ,2 ] , "b":{ } }\r\n')).toBe('{"a": [1, 2], "b": {}}');
});

test('the first key that stands twice in one object is named by its place', () => {
  expect(readExact('{"a": [{"x/y": 1, "z": 2, "x/y": 3}], "a": 1}').repeated).toBe('/a/0/x~1y');
  expect(readExact('{"a": {"a": {"a": 1}}, "b": [{"a": 1}, {"a": 1}]}').repeated).toBeNull();
  expect(readExact('{"a": 1, "\\u0061": 2}').repeated).toBe('/a');
});

test('a value that is nested without end is refused', () => {
  const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
  expect(() => readExact(nested(DEPTH_MAX))).not.toThrow();
  expect(() => readExact(nested(100_000))).toThrow(`nested deeper than ${DEPTH_MAX}`);
});
