import { invariant } from '../error.js';
import type { TraceBackend } from '../graph/backend.js';
import type { Entry, Graph } from '../graph/graph.js';
import { typed } from '../graph/kernel.js';
import { sizeOf } from '../graph/sizes.js';
import { loadTf } from '../load.js';
import type { Tensor } from '../raw-ops.js';
import { variableOf } from './check-feeds.js';
import type { Program, Scope } from './types.js';

/** Variables of a program as nodes of a graph, shared by all signatures. */
export type Handles = ReadonlyMap<string, Entry>;

export interface TracedScope extends Scope {
  /** Makes every update wait for the reads of what it changes; returns the names of the updates. */
  finish(): string[];
}

/**
 * The state as a signature sees it while it is traced: one read node a variable, updates that wait for it. Names of variables whose own
 * memory is written to are added to `inPlace`.
 */
export function tracedScope(
  graph: Graph,
  backend: TraceBackend,
  program: Program,
  handles: Handles,
  options: { isCompiled: boolean; inPlace: Set<string> },
): TracedScope {
  const { keep } = loadTf();
  const reads = new Map<string, Tensor>();
  const updates: { node: string; variables: string[] }[] = [];
  const updated = new Set<string>();
  const scattered = new Set<string>();

  const handleOf = (name: string): Entry => {
    variableOf(program, name);
    return handles.get(name) as Entry;
  };
  const readNode = (name: string, after: string[] = []): Entry => {
    const handle = handleOf(name);
    const { shape } = variableOf(program, name);
    const options = { isUnique: true, isUnconditional: true, after };
    return graph.one('ReadVariableOp', [handle], { dtype: typed(handle.dtype) }, shape, handle.dtype, options);
  };
  const read = (name: string): Tensor => {
    const known = reads.get(name);
    if (known !== undefined) return known;
    invariant(!scattered.has(name), `read variable ${name} before its rows are scattered, or not at all`);
    const made = keep(backend.tensor(readNode(name)));
    reads.set(name, made);
    return made;
  };
  const claim = (name: string, value?: Tensor): void => {
    const { shape, isFrozen } = variableOf(program, name);
    invariant(!isFrozen, `variable ${name} is frozen and cannot be updated`);
    invariant(!updated.has(name), `variable ${name} is updated twice in one call`);
    invariant(graph.branch === undefined, `variable ${name} cannot be updated inside choose()`);
    invariant(
      value === undefined || value.size === sizeOf(shape),
      `variable ${name} cannot take [${value?.shape.join(', ')}]`,
    );
    updated.add(name);
  };
  const update = (
    op: string,
    variables: string[],
    inputs: Entry[],
    attributes: Parameters<Graph['add']>[2],
    after: string[] = [],
  ): string => {
    const node = `update${graph.size}`;
    graph.add(op, inputs, attributes, [], { name: node, after });
    updates.push({ node, variables });
    return node;
  };
  const valueFor = (name: string, value: Tensor): Entry => {
    const handle = handleOf(name);
    const entry = graph.reshape(backend.entry(value), variableOf(program, name).shape);
    // An assignment adopts the buffer that it is given. A feed's belongs to JavaScript, and freeing it elsewhere hangs the process; another
    // variable's may be written in place.
    if (entry.isBorrowed !== true) return entry;
    return graph.one('DeepCopy', [entry], { T: typed(handle.dtype) }, entry.shape, entry.dtype, { isUnique: true });
  };

  return {
    read,
    assign: (name, value) => {
      claim(name, value);
      update('AssignVariableOp', [name], [handleOf(name), valueFor(name, value)], { dtype: typed('float32') });
    },
    assignAdd: (name, value) => {
      claim(name, value);
      const more = graph.reshape(backend.entry(value), variableOf(program, name).shape);
      update('AssignAddVariableOp', [name], [handleOf(name), more], { dtype: typed('float32') });
    },
    fused: ({ op, variables, start, inputs, flags = {} }) => {
      const [first] = variables;
      invariant(first !== undefined, `${op} updates no variable`);
      const { shape } = variableOf(program, first);
      for (const name of variables) claim(name);
      const after: string[] = [];
      if (start !== undefined) {
        const entry = valueFor(first, start);
        after.push(update('AssignVariableOp', [first], [handleOf(first), entry], { dtype: typed('float32') }));
      }
      const given = inputs.map((input) => {
        if (typeof input === 'number') return graph.scalar(input, 'float32');
        const entry = backend.entry(input);
        return entry.shape.length === 0 ? entry : graph.reshape(entry, shape);
      });
      const bools = Object.fromEntries(Object.entries(flags).map(([key, bool]) => [key, { bool }]));
      const attributes = { T: typed('float32'), ...bools };
      update(op, [...variables], [...variables.map(handleOf), ...given], attributes, after);
    },
    scatterRows: (name, indices, rows) => {
      claim(name);
      const inputs = [backend.entry(indices), backend.entry(rows)];
      const { shape } = variableOf(program, name);
      if (options.isCompiled) {
        const attributes = { dtype: typed('float32'), Tindices: typed('int32') };
        const node = update('ResourceScatterUpdate', [name], [handleOf(name), ...inputs], attributes);
        return backend.tensor(readNode(name, [node]));
      }
      // Rows are written into the variable's own memory. ResourceScatterUpdate would make every later read of the variable a copy: 40 us
      // instead of 5 for 600 KB. A value that this signature reads besides is kept: then a copy is written to and becomes the variable.
      const isRead = reads.has(name);
      const one = { T: typed('float32') };
      const old = isRead
        ? graph.one('DeepCopy', [backend.entry(read(name))], one, shape, 'float32', { isUnique: true })
        : readNode(name);
      const node = `update${graph.size}`;
      const whole = graph.one('InplaceUpdate', [old, ...inputs], one, shape, 'float32', { name: node });
      if (isRead) update('AssignVariableOp', [name], [handleOf(name), whole], { dtype: typed('float32') });
      else updates.push({ node, variables: [name] });
      scattered.add(name);
      options.inPlace.add(name);
      return backend.tensor(whole);
    },
    finish: () => {
      for (const { node, variables } of updates) {
        const before = variables.flatMap((name) => {
          const tensor = reads.get(name);
          return tensor === undefined ? [] : [backend.entry(tensor).ref];
        });
        graph.waitFor(node, before);
      }
      for (const tensor of reads.values()) tensor.dispose();
      return updates.map(({ node }) => node);
    },
  };
}
