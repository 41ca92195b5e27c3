import { AppError } from '@moraine/contract';
import { describe, expect, test } from 'vitest';
import { compileTemplate, toValue } from '../src/chat-template.js';
import { compileJinja } from '../src/jinja/compile.js';
import { TemplateError, type Value } from '../src/jinja/values.js';

const DAY = new Date('2026-03-05T00:00:00Z');
/** Renders a template on plain values. */
const render = (source: string, values: Record<string, unknown> = {}): string =>
  compileJinja(source, Object.keys(values))(
    new Map(Object.entries(values).map(([name, value]): [string, Value] => [name, toValue(value)])),
    DAY,
  );

// Each right side is what jinja2 3.1 writes.
describe('values are written as Python writes them', () => {
  test.each([
    ['{{ none }} {{ true }} {{ 1.0 }} {{ 3 / 2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }}', 'None True 1.0 1.5 3 -4 2'],
    ['{{ [1, "a", none] }} {{ {"a": 1.5} }}', "[1, 'a', None] {'a': 1.5}"],
    ['{{ ["it\'s"] }} {{ ["a\\nb"] }}', "[\"it's\"] ['a\\nb']"],
    ['{{ nothing }}|{{ nothing is defined }}|{{ nothing or "x" }}', '|False|x'],
    ['{{ 2 ** 70 }}', '1180591620717411303424'],
    ['{{ "%s: %5.2f|%-4d|%03d %%" % ("a", 1.5, 7, 7) }}', 'a:  1.50|7   |007 %'],
    ['{{ "%(a)s" % {"a": 1} }} {{ "%s" | format(2) }}', '1 2'],
    ['{{ "a" ~ 1 ~ none }}', 'a1None'],
    [
      '{{ {"a": none}.a is none }} {{ {"a": none}.get("a", 1) }} {{ nothing | default(none) }} {{ [none] | first }}',
      'True None None None',
    ],
    [
      '{{ [1, 2] + [3] }} {{ "ab" * 2 }} {{ 2 in [1, 2.0] }} {{ "b" in "abc" }} {{ "x" not in {"x": 1} }}',
      '[1, 2, 3] abab True True False',
    ],
  ])('%s', (source, want) => expect(render(source)).toBe(want));
});

// Each right side is what transformers' environment writes.
describe('blocks keep the names that are set in them, and nothing else is between them', () => {
  test.each([
    ['{% set x %}{% set y = 1 %}a{{ y }}{% endset %}{{ x }}[{{ y }}]', 'a1[]'],
    ['{% set y = 0 %}{% filter upper %}{% set y = 1 %}a{{ y }}{% endfilter %}[{{ y }}]', 'A1[0]'],
    ['{% for a in [] %}{% else %}{% set y = 1 %}{{ y }}{% endfor %}[{{ y }}]', '1[]'],
    ['{% set y = 0 %}{% generation %}{% set y = y + 1 %}{{ y }}{% endgeneration %}[{{ y }}]', '1[0]'],
    ['{% for a in [1, 2] %}{%- generation -%} {{ loop.index }} {%- endgeneration -%} {% endfor %}', '12'],
    ['{% set ns = namespace(a=1) %}{% generation %}{% set ns.a = 2 %}{% endgeneration %}{{ ns.a }}', '2'],
    ['{% if true %}{% set y = 1 %}{% endif %}[{{ y }}]', '[1]'],
  ])('%s', (source, want) => expect(render(source)).toBe(want));
});

describe('white space is as Jinja has it', () => {
  test.each([
    ['{% if true %}\r\na\r\n{% endif %}\r\n', 'a\n'],
    ['{% if true %}\ra\r{% endif %}\r', 'a\n'],
    ["{{ 'a\r\nb' }}", 'a\nb'],
    ['  {%+ if true %} a {% endif %}', '   a '],
    ['{% if true +%}\na{% endif %}', '\na'],
    ['{%+ generation %} a {%+ endgeneration %}', ' a '],
  ])('%j', (source, want) => expect(render(source)).toBe(want));
});

describe('tests with an argument and tuples of one are read as Jinja does', () => {
  const values = { x: 6, m: { n: 3, role: 'user' }, l: [1, 2, 3] };
  test.each([
    ['{{ x is divisibleby(3) }} {{ x is divisibleby(num=4) }} {{ x is not divisibleby(4) }}', 'True False True'],
    ['{{ x is divisibleby 3 }} {{ x is divisibleby m.n }} {{ x is divisibleby(m.n) and x is even }}', 'True True True'],
    ['{{ x is eq 6 }} {{ m.role is ne("user") }} {{ m["role"] is equalto "us" "er" }}', 'True False True'],
    ['{{ x is in [1, 6] }} {{ x is not in l }} {{ x is in(l) }}', 'True True False'],
    ["{{ 'y' if x is eq 6 else 'n' }} {{ x is defined and x is gt 5 }} {{ x is defined or false }}", 'y True True'],
    ['{{ not x is divisibleby(5) }} {{ x * 4 is divisibleby(4) }} {{ l[1:] is eq [2, 3] }}', 'True 6 True'],
    ['{{ (x,) | length }} {{ (x,)[0] }} {{ () | length }} {{ ((1,),) | length }} {{ (1, 2,) | length }}', '1 6 0 1 2'],
    ['{{ x in (6,) }} {{ x not in (6,) }} {% for a in (1,) %}{{ a }}{% endfor %} {{ (x) }}', 'True False 1 6'],
    ['{{ range((3)) | list }} {{ dict(a=(1,)).a | length }} {{ l[(0)] }}', '[0, 1, 2] 1 1'],
  ])('%s', (source, want) => expect(render(source, values)).toBe(want));

  test.each([
    ['{{ 1 < x < 9 }}', 'a chain of comparisons'],
    ['{% if "a" in l == true %}{% endif %}', 'a chain of comparisons'],
    ['{{ x is wordy(3) }}', "the test 'wordy'"],
  ])('%s is named', (source, what) => expect(() => render(source, values)).toThrow(what));

  test.each([
    '{% for a in l if a in l and a < 9 %}{{ a == 1 }}{% endfor %}',
    '{{ [x < 9, x > 1, x is in l] }} {{ (x < 9) == true }} {{ x if x > 1 else x < 1 }}',
    '{% set a = x < 9 %}{% set b = x in l %}{{ a }}{{ f is defined }}',
  ])('%s is no chain', (source) => expect(() => render(source, values)).not.toThrow());

  test('a template that ends inside a block is refused in words', () => {
    expect(() => render('{% if x %}')).toThrow('it ends inside a statement or a block');
  });
});

describe('texts are cut and stripped as Python does', () => {
  const odd = '\u0085\u001c x\ufeff\u200b ';
  test.each([
    ['{{ t | trim }}|', 'x\ufeff\u200b|'],
    ['{{ t.rstrip() }}|', '\u0085\u001c x\ufeff\u200b|'],
    ['{{ "\\n\\na b\\n".strip("\\n") }}|', 'a b|'],
    ['{{ "xxaxx".lstrip("x") }}|{{ "axbx".rstrip("x") }}|', 'axx|axb|'],
    ['{{ "a</think>b</think>c".split("</think>")[-1] }}', 'c'],
    [
      '{{ "a b  c".split() }} {{ "a,b,c".split(",", 1) }} {{ "a,b,c".rsplit(",", 1) }}',
      "['a', 'b', 'c'] ['a', 'b,c'] ['a,b', 'c']",
    ],
    [
      '{{ "hello wORLD" | capitalize }} {{ "hello wORLD".title() }} {{ "they\'re" | title }}',
      "Hello world Hello World They're",
    ],
    [
      '{{ "abc"[::-1] }} {{ "abc"[1:] }} {{ "abc"[-1] }} {{ "abc"[5] is defined }} {{ [1, 2, 3][:-1] }}',
      'cba bc c False [1, 2]',
    ],
    ['{{ "😀b"[1] }} {{ "😀b" | length }} {{ "😀b" | list }}', "b 2 ['😀', 'b']"],
    ['{{ "a\\n\\nb" | indent(2) }}', 'a\n\n  b'],
    ['{{ "aaa".replace("a", "b", 2) }} {{ "aaa" | replace("a", "c") }}', 'bba ccc'],
    ['{{ "Abc".startswith("A") }} {{ "abc".find("c") }} {{ "a,b".partition(",") }}', "True 2 ('a', ',', 'b')"],
  ])('%s', (source, want) => expect(render(source, { t: odd })).toBe(want));
});

describe('filters, tests and loops', () => {
  const values = {
    people: [
      { name: 'b', age: 2 },
      { name: 'A', age: 1 },
    ],
    map: { z: 1, a: { b: 'é<' } },
  };
  test.each([
    ['{{ people | map(attribute="name") | join(",") }}', 'b,A'],
    ['{{ people | selectattr("age", "equalto", 1) | map(attribute="name") | list }}', "['A']"],
    ['{{ people | rejectattr("age", "gt", 1) | list | length }}', '1'],
    ['{{ people | sort(attribute="name") | map(attribute="name") | join }}', 'Ab'],
    ['{{ map | tojson }}', '{"z": 1, "a": {"b": "é<"}}'],
    ['{{ map | tojson(indent=2) }}', '{\n  "z": 1,\n  "a": {\n    "b": "é<"\n  }\n}'],
    ['{{ map | tojson(ensure_ascii=true, separators=(",", ":")) }}', '{"z":1,"a":{"b":"\\u00e9<"}}'],
    ['{% for k, v in map | dictsort %}{{ k }};{% endfor %}', 'a;z;'],
    ['{% for k in map %}{{ loop.index }}{{ k }}{{ "," if not loop.last }}{% endfor %}', '1z,2a'],
    ['{% for p in people if p.age > 1 %}{{ p.name }}{{ loop.length }}{% else %}none{% endfor %}', 'b1'],
    [
      '{% for i in range(5) %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% if i == 3 %}{% break %}{% endif %}{% endfor %}',
      '023',
    ],
    ['{% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = 5 %}{% endfor %}{{ x }}', '111'],
    ['{% set ns = namespace(n=0) %}{% for i in [1, 2] %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}', '3'],
    ['{% macro f(a, b=2) %}{{ a }}{{ b }}{% endmacro %}{{ f(1) }}{{ f(1, b=3) }}', '1213'],
    ['{% set x %}a{{ 1 }}{% endset %}{{ x | upper }}', 'A1'],
    ['{{ {"items": 1}["items"] }} {{ {"a": 1}.get("b", "no") }} {{ {"a": 1}.items() | list }}', "1 no [('a', 1)]"],
    [
      '{{ 1 is number }} {{ true is integer }} {{ "a" is sequence }} {{ none is none }} {{ {} is mapping }}',
      'True False True True True',
    ],
    [
      '{{ [3, 1] | sort | first }} {{ [] | last is defined }} {{ [1, 1, 2] | unique | list }} {{ [1, 2] | sum }}',
      '1 False [1, 2] 3',
    ],
    ['{{ "5" | int + 1 }} {{ "x" | int(7) }} {{ 2.5 | round }} {{ 3.14159 | round(2) }}', '6 7 2.0 3.14'],
    ['{{ strftime_now("%d %b %Y, %A") }}', '05 Mar 2026, Thursday'],
  ])('%s', (source, want) => expect(render(source, values)).toBe(want));
});

describe('what Python raises, is raised', () => {
  test.each([
    ['{{ "a" + 1 }}', 'unsupported operand'],
    ['{{ "a" + none }}', 'unsupported operand'],
    ['{{ nothing.x }}', "'nothing' is undefined"],
    ['{% for x in 5 %}{% endfor %}', 'not iterable'],
    ['{{ raise_exception("no system") }}', 'no system'],
    ['{{ "%s %s" % "a" }}', 'not enough values'],
    ['{{ [1, "a"] | sort }}', 'not supported between'],
  ])('%s', (source, want) => {
    expect(() => render(source)).toThrow(TemplateError);
    expect(() => render(source)).toThrow(want);
  });
});

describe('a construct that is not known is named when the template is read', () => {
  test.each([
    ['{{ x | wordwrap(3) }}', "the filter 'wordwrap'"],
    ['{{ x | map("wordwrap") | list }}', "the filter 'wordwrap'"],
    ['{{ x | rejectattr("y", "escaped") | list }}', "the test 'escaped'"],
    ['{{ dict(a=1, a=2) }}', "the argument 'a' stands twice"],
    ['{{ x is escaped }}', "the test 'escaped'"],
    ['{{ cycler(1, 2) }}', "the function 'cycler'"],
    ['{{ x.encode() }}', "the method 'encode'"],
    ['{% include "x" %}', 'include'],
    ['{{ x', ''],
  ])('%s', (source, want) => {
    let thrown: unknown;
    try {
      compileTemplate(source, {});
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(AppError);
    expect(thrown).toMatchObject({
      code: 'invalid_base',
      param: 'chat_template',
      message: expect.stringContaining(want),
    });
  });

  test('and so is one that shows only when it is rendered', () => {
    const template = compileTemplate('{% for m in messages %}{{ range.name }}{% endfor %}', {});
    expect(() => template.render([{ role: 'user', content: 'x' }])).toThrow("the attribute 'name' of a function");
  });
});

test('a range that would fill the memory is refused as in the sandbox that transformers renders in', () => {
  const render = (count: string) => compileJinja(`{{ range(${count}) | length }}`, [])(new Map(), new Date(0));
  expect(render('100000')).toBe('100000');
  expect(() => render('1000000000')).toThrow('range() of 1000000000 numbers is too big; 100000 at most');
});

test('a conversation that the template fails on is told from one that it refuses', () => {
  const fails = compileTemplate('{% for m in messages %}{{ m.content + m.nothing }}{% endfor %}', {});
  expect(() => fails.render([{ role: 'user', content: 'x' }])).toThrow('fails on this conversation (roles user)');
  const refuses = compileTemplate('{{ raise_exception("roles must alternate") }}', {});
  expect(() => refuses.render([{ role: 'user', content: 'x' }])).toThrow(
    'refuses the roles user: roles must alternate',
  );
});
