import type { Plugin } from 'vite';

interface Node {
  type: string;
  start: number;
  end: number;
  [key: string]: unknown;
}

const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && typeof (value as Node).type === 'string';
const isText = (node: Node | undefined): node is Node =>
  node !== undefined &&
  ((node.type === 'Literal' && typeof node.value === 'string') || node.type === 'TemplateLiteral');
const nameOf = (node: unknown): unknown => (isNode(node) ? (node.name ?? node.value) : undefined);

/** Where a module has texts that only the API's own document shows: of `.describe(text)`, `describe(schema, text)`, `description` and `summary`. */
function* describedAt(node: Node): Generator<Node> {
  const { type, callee, key, value } = node;
  const last = Array.isArray(node.arguments) ? (node.arguments.at(-1) as Node | undefined) : undefined;
  const called = isNode(callee) && nameOf(callee.type === 'MemberExpression' ? callee.property : callee);
  if (type === 'CallExpression' && called === 'describe' && isText(last)) yield last;
  if (type === 'Property' && ['description', 'summary'].includes(String(nameOf(key))) && isNode(value) && isText(value))
    yield value;
  for (const child of Object.values(node).flat()) if (isNode(child)) yield* describedAt(child);
}

/** Where an entry of the route table has what only the server reads: the schemas of requests, and what groups them in the document. */
function* servedAt(node: Node): Generator<Node> {
  const keys = ['params', 'query', 'body', 'json', 'tag'];
  const entries = Array.isArray(node.properties) ? (node.properties as Node[]) : [];
  if (entries.some(({ key }) => nameOf(key) === 'path'))
    for (const { key, value } of entries) if (keys.includes(String(nameOf(key))) && isNode(value)) yield value;
  for (const child of Object.values(node).flat()) if (isNode(child)) yield* servedAt(child);
}

/** Leaves these of the contract out of the pages, which never use them: they are some kilobytes of what each visitor fetches. */
export const withoutTexts = (): Plugin => ({
  name: 'without-texts',
  apply: 'build',
  transform(code, id) {
    if (!id.includes('/packages/contract/dist/')) return null;
    const tree = this.parse(code) as unknown as Node;
    const served = id.includes('/dist/routes/') ? [...servedAt(tree)] : [];
    const texts = [...describedAt(tree)].filter(
      (text) => !served.some(({ start, end }) => start <= text.start && text.end <= end),
    );
    let short = code;
    const cuts = [...texts.map((at) => ({ ...at, by: "''" })), ...served.map((at) => ({ ...at, by: 'undefined' }))];
    for (const { start, end, by } of cuts.sort((a, b) => b.start - a.start))
      short = `${short.slice(0, start)}${by}${short.slice(end)}`;
    return { code: short, map: null };
  },
});
