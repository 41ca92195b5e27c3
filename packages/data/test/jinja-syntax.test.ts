import { describe, expect, test } from 'vitest';
import { toValue } from '../src/chat-template.js';
import { compileJinja } from '../src/jinja/compile.js';
import type { Value } from '../src/jinja/values.js';

const VALUES = {
  people: [{ role: 'user' }, { role: 'tool' }],
  tree: [{ n: 'a', below: [{ n: 'b', below: [] }] }],
};
const render = (source: string): string =>
  compileJinja(source, Object.keys(VALUES))(
    new Map(Object.entries(VALUES).map(([name, value]): [string, Value] => [name, toValue(value)])),
    new Date('2026-03-05T00:00:00Z'),
  );

// Each right side is what jinja2 3.1 writes in the environment of transformers.
describe('tuples are no lists', () => {
  test.each([
    ['{{ (1, 2) }} {{ () }} {{ (1,) }} {{ [1, (2,)] }}', '(1, 2) () (1,) [1, (2,)]'],
    ['{{ 1, 2 }} {{ 1, }}', '(1, 2) (1,)'],
    ['{% set x = 1, %}{{ x }}{% set y = 1, 2 %}{{ y }}', '(1,)(1, 2)'],
    ['{{ (1, 2) == [1, 2] }} {{ (1,) == (1,) }} {{ (1, 2) in [[1, 2]] }}', 'False True False'],
    ['{{ (1,) + (2,) }} {{ 2 * (1,) }} {{ (1, 2, 3)[:2] }} {{ 3 * "ab" }}', '(1, 2) (1, 1) (1, 2) ababab'],
    ['{{ {"a": 1}.items() | list }} {{ {"a": 1} | items | first }}', "[('a', 1)] ('a', 1)"],
    ['{{ {"b": 1, "a": 2} | dictsort }} {{ "a-b".partition("-") }}', "[('a', 2), ('b', 1)] ('a', '-', 'b')"],
    ['{{ "%s" % [1, 2] }} {{ "%s %s" % (1, 2) }} {{ (1, [2]) | tojson }}', '[1, 2] 1 2 [1, [2]]'],
    ['{% macro f() %}{{ varargs }}{% endmacro %}{{ f(1, 2) }}', '(1, 2)'],
  ])('%s', (source, want) => expect(render(source)).toBe(want));

  test('a list and a tuple are not added', () => expect(() => render('{{ [1] + (2,) }}')).toThrow('operand'));
});

describe('loops', () => {
  test.each([
    ['{% for (x,) in [(1,), (2,)] %}{{ x }};{% endfor %}', '1;2;'],
    ['{% for x in 1, 2, 3 if x > 1 %}{{ x }}{% endfor %}', '23'],
    ['{% for t in tree recursive %}{{ loop.depth }}{{ t.n }}({{ loop(t.below) }}){% endfor %}', '1a(2b())'],
    ['{% for k, v in {"a": {"b": {}}}.items() recursive %}{{ k }}{{ loop(v.items()) }}{% endfor %}', 'ab'],
    [
      '{% for t in [1, [2]] recursive %}{% if t is number %}{{ t }}{% else %}<{{ loop(t) }}>{% endif %}{% endfor %}',
      '1<2>',
    ],
    ['{% for a in [1] %}{% for b in [1] %}{{ loop.depth }}{{ loop.depth0 }}{% endfor %}{% endfor %}', '10'],
  ])('%s', (source, want) => expect(render(source)).toBe(want));

  test('only a recursive one may be called', () => {
    expect(() => render('{% for x in [1] %}{{ loop([]) }}{% endfor %}')).toThrow('not callable');
  });
});

describe('what Python makes while it is asked', () => {
  test.each([
    ['{% if people | selectattr("role", "eq", "x") %}yes{% endif %}', 'yes'],
    ['{% if people | selectattr("role", "eq", "x") | list %}yes{% endif %}', ''],
    ['{% set g = people | map(attribute="role") %}{{ g | join(",") }}|{{ g | join(",") }}', 'user,tool|'],
    [
      '{{ [2, 1] | reverse | list }} {{ range(4)[1:3] | list }} {{ "user" in people | map(attribute="role") }}',
      '[1, 2] [1, 2] True',
    ],
    ['{% if {}.items() %}yes{% endif %}{{ {"a": 1}.keys() | length }}', '1'],
  ])('%s', (source, want) => expect(render(source)).toBe(want));

  test.each([
    ['{{ people | map(attribute="role") }}', 'the text of a generator'],
    ['{{ range(3) }}', 'the text of a view'],
    ['{{ {"a": 1}.keys() | tojson }}', 'not JSON serializable'],
    ['{{ people | map(attribute="role") | length }}', 'has no len'],
  ])('%s is refused', (source, what) => expect(() => render(source)).toThrow(what));
});

describe('numbers and texts', () => {
  test.each([
    [
      '{{ 1e3 }} {{ 1.5e-7 }} {{ 2E+3 }} {{ 1_000 }} {{ 0x1f }} {{ 0b11 }} {{ 0o17 }}',
      '1000.0 1.5e-07 2000.0 1000 31 3 15',
    ],
    ['{{ 9007199254740993 }} {{ [-9007199254740993] | tojson }}', '9007199254740993 [-9007199254740993]'],
    ['{{ 1 or 2 }} {{ 0 or 2 }} {{ 1 if 0 else 2 }}', '1 2 2'],
    ['{{ 3 | round(1) }} {{ 2.675 | round(2) }} {{ 0.125 | round(2) }} {{ 2.5 | round }}', '3 2.67 0.12 2.0'],
    ['{{ ["\\u200b", "\\u00a0", "é", "😀", "\\x7f"] }}', "['\\u200b', '\\xa0', 'é', '😀', '\\x7f']"],
    ['{{ "a\\r\\nb\\n".splitlines(true) }} {{ "abca".rindex("a") }}', "['a\\r\\n', 'b\\n'] 3"],
    ['{{ "abc".startswith("b", 1) }} {{ "abab".find("b", 2) }} {{ "ab".endswith(("x", "b")) }}', 'True 3 True'],
  ])('%s', (source, want) => expect(render(source)).toBe(want));
});

test('all ends of lines are line feeds', () => {
  expect(render('a\r\n{% if true %}\r\nb\r\n{% endif %}\rc')).toBe('a\nb\nc');
});

test('a plus sign keeps the white space beside a statement', () => {
  expect(render('a\n  {%+ if true +%}\n  b\n  {%+ endif %}\nc')).toBe('a\n  \n  b\n  c');
});

test.each([
  ['{% raw %}{{ x }}{% endraw %}', "the statement 'raw'"],
  ['{% with a = 1 %}{{ a }}{% endwith %}', "the statement 'with'"],
  ['{% filter upper | trim %}a{% endfilter %}', 'a chain of filters in a statement'],
  ['{% set a | upper %}b{% endset %}', 'a filter in a set block'],
  ['{{ "\\q" }}', "'\\q' in a text"],
  ['{{ range.name }}', "the attribute 'name' of a function"],
  ['{{ self }}', "the name 'self'"],
])('%s is refused by the name of what is missing', (source, what) => expect(() => render(source)).toThrow(what));
