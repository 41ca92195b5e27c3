import { InvariantError, invariant } from '../error.js';
import type { Branch, Entry, Graph, OutputSpec } from './graph.js';

/**
 * A conditional in TensorFlow's dataflow form: every input goes through a Switch, whose one output is dead; what depends on a dead value
 * is dead and not computed; Merge passes on the value that lives. Both sides are in the graph, one runs.
 */
export function buildChoice(
  graph: Graph,
  pred: Entry,
  inputs: readonly Entry[],
  whenTrue: (inputs: Entry[]) => Entry[],
  whenFalse: (inputs: Entry[]) => Entry[],
): Entry[] {
  invariant(
    pred.dtype === 'bool' && pred.shape.length === 0,
    `choose takes a bool scalar, it was given ${pred.dtype} [${pred.shape.join(', ')}]`,
  );
  const parent = graph.branch;
  const split = (x: Entry): Entry[] => {
    const output = { shape: x.shape, dtype: x.dtype };
    return graph.add('Switch', [x, pred], { T: { type: x.dtype } }, [output, output], { isUnique: true });
  };
  const sides = split(pred);
  const switched = inputs.map(split);
  const side = (index: 0 | 1, build: (inputs: Entry[]) => Entry[]): Entry[] => {
    const alive = sides[index];
    invariant(alive !== undefined, 'Switch has two outputs');
    const pivot = graph.one('Identity', [alive], { T: { type: 'bool' } }, [], 'bool', { isUnique: true });
    const branch: Branch = { pivot, parent };
    return graph.within(branch, () =>
      build(switched.map((pair) => ({ ...(pair[index] ?? alive), branch }))).map((made) =>
        // A result from outside must still exist on this side only.
        made.branch === branch
          ? made
          : graph.one('Identity', [made], { T: { type: made.dtype } }, made.shape, made.dtype, { isUnique: true }),
      ),
    );
  };
  const [otherwise, then] = [side(0, whenFalse), side(1, whenTrue)];
  invariant(
    otherwise.length === then.length,
    `choose: one side gives ${then.length} tensors, the other ${otherwise.length}`,
  );
  return then.map((yes, i) => merge(graph, i, otherwise[i], yes, parent));
}

function merge(graph: Graph, index: number, no: Entry | undefined, yes: Entry, parent: Branch | undefined): Entry {
  if (no === undefined || no.dtype !== yes.dtype || no.shape.join() !== yes.shape.join()) {
    const name = (x: Entry | undefined) => `${x?.dtype} [${x?.shape.join(', ')}]`;
    throw new InvariantError(`choose: result ${index} is ${name(yes)} on one side and ${name(no)} on the other`);
  }
  const outputs = [
    { shape: yes.shape, dtype: yes.dtype },
    { shape: [], dtype: 'int32' },
  ] as const;
  const [merged] = graph.mergeBranches([no, yes], outputs, parent);
  invariant(merged !== undefined, 'Merge has an output');
  return merged;
}

/** The case that `index`, an int32 scalar, counts; the others are not computed. Their results may differ in shape; `output` is what is known. */
export function buildCases(graph: Graph, index: Entry, cases: readonly (() => Entry)[], output: OutputSpec): Entry {
  const results = cases.map((build, i) => {
    const isThis = graph.one('Equal', [index, graph.scalar(i)], { T: { type: 'int32' } }, [], 'bool');
    const flag = { shape: [], dtype: 'bool' } as const;
    const [, alive] = graph.add('Switch', [isThis, isThis], { T: { type: 'bool' } }, [flag, flag], { isUnique: true });
    invariant(alive !== undefined, 'Switch has two outputs');
    const pivot = graph.one('Identity', [alive], { T: { type: 'bool' } }, [], 'bool', { isUnique: true });
    return graph.within({ pivot, parent: graph.branch }, build);
  });
  const [merged] = graph.mergeBranches(results, [output, { shape: [], dtype: 'int32' }], graph.branch);
  invariant(merged !== undefined, 'Merge has an output');
  return merged;
}
