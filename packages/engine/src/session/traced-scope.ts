import { invariant } from '../error.js';
import type { Entry } from '../graph/graph.js';
import { typed } from '../graph/kernel.js';
import { gatherRows } from '../raw-ops.js';
import type { TracedState } from './traced-state.js';
import type { FusedUpdate, Scope } from './types.js';

const FLOAT = typed('float32');

/**
 * The state as the code of a signature sees it while it is traced. `inPlace` is given the names of variables whose own memory is written
 * to.
 */
export function tracedScope(state: TracedState, options: { isCompiled: boolean; inPlace: Set<string> }): Scope {
  const { backend, graph } = state;
  return {
    read: (name) => state.read(name),
    assign: (name, value) => {
      state.claim(name, value);
      assign(state, name, state.valueFor(name, value));
    },
    assignAdd: (name, value) => {
      state.claim(name, value);
      const more = graph.reshape(backend.entry(value), state.shapeOf(name));
      state.update('AssignAddVariableOp', [name], [more], { dtype: FLOAT });
    },
    fused: (update) => addFused(state, update),
    scatterRows: (name, indices, rows) => {
      state.claim(name);
      const inputs = [backend.entry(indices), backend.entry(rows)];
      if (options.isCompiled) return backend.tensor(scatterCompiled(state, name, inputs));
      options.inPlace.add(name);
      return backend.tensor(scatterInPlace(state, name, inputs));
    },
    copyRows: (name, from, to) => {
      state.claim(name);
      // What is written is gathered first, so that it can be written into the same memory.
      const rows = gatherRows(backend.tensor(state.readNode(name)), from);
      const inputs = [backend.entry(to), backend.entry(rows)];
      if (options.isCompiled) {
        scatterCompiled(state, name, inputs);
        return;
      }
      options.inPlace.add(name);
      scatterInPlace(state, name, inputs);
    },
  };
}

const assign = (state: TracedState, name: string, value: Entry): string =>
  state.update('AssignVariableOp', [name], [value], { dtype: FLOAT });

function addFused(state: TracedState, { op, variables, start, inputs, flags = {} }: FusedUpdate): void {
  const { backend, graph } = state;
  const [first] = variables;
  invariant(first !== undefined, `${op} updates no variable`);
  for (const name of variables) state.claim(name);
  const after = start === undefined ? [] : [assign(state, first, state.valueFor(first, start))];
  const given = inputs.map((input) => {
    if (typeof input === 'number') return graph.scalar(input, 'float32');
    const entry = backend.entry(input);
    return entry.shape.length === 0 ? entry : graph.reshape(entry, state.shapeOf(first));
  });
  const bools = Object.fromEntries(Object.entries(flags).map(([key, bool]) => [key, { bool }]));
  state.update(op, variables, given, { T: FLOAT, ...bools }, after);
}

/** The variable after its rows are written, as XLA compiles it. */
function scatterCompiled(state: TracedState, name: string, inputs: readonly Entry[]): Entry {
  const attributes = { dtype: FLOAT, Tindices: typed('int32') };
  return state.readNode(name, [state.update('ResourceScatterUpdate', [name], inputs, attributes)]);
}

/**
 * Rows are written into the variable's own memory. ResourceScatterUpdate would make every later read of the variable a copy: 40 us instead
 * of 5 for 600 KB. A value that this signature reads besides is kept: then a copy is written to and becomes the variable.
 */
function scatterInPlace(state: TracedState, name: string, inputs: readonly Entry[]): Entry {
  const { backend, graph } = state;
  const shape = state.shapeOf(name);
  const one = { T: FLOAT };
  const isRead = state.isRead(name);
  const old = isRead
    ? graph.one('DeepCopy', [backend.entry(state.read(name))], one, shape, 'float32', { isUnique: true })
    : state.readNode(name);
  const node = `update${graph.size}`;
  const whole = graph.one('InplaceUpdate', [old, ...inputs], one, shape, 'float32', { name: node });
  if (isRead) assign(state, name, whole);
  else state.noteUpdate(node, name);
  state.forbidRead(name);
  return whole;
}
