import { invariant } from '../error.js';
import { sizeOf } from '../graph/sizes.js';
import { loadTf, type Tf } from '../load.js';
import type { Tensor } from '../raw-ops.js';
import { checkFeeds, checkWanted, checkWrite, signatureOf, variableOf } from './check-feeds.js';
import { readSlice } from './read-slice.js';
import { isNativeError, runError } from './run-errors.js';
import type { FetchedValue, Program, Scope, Session, Signature } from './types.js';

/**
 * Runs a program's signatures operation by operation on TensorFlow's own backend: what the traced session must agree with.
 * Variables are tensors in a map; updates replace them when the call ends.
 */
export function eagerSession(program: Program): Session {
  const tf = loadTf();
  const begun = performance.now();
  const variables = new Map<string, Tensor>();
  for (const [name, { shape, from }] of program.variables) {
    variables.set(name, from === undefined ? tf.zeros([...shape]) : tf.tensor(readSlice(from), [...shape]));
  }
  const timings = { traceMs: 0, loadMs: 0, initMs: performance.now() - begun, nodes: 0, runMs: 0 };
  const current = (name: string): Tensor => {
    variableOf(program, name);
    return variables.get(name) as Tensor;
  };
  const replace = (name: string, value: Tensor): void => {
    variables.get(name)?.dispose();
    variables.set(name, value);
  };
  return {
    mode: 'eager',
    timings,
    run: (name, values, wanted) => {
      const signature = signatureOf(program, name);
      checkFeeds(name, signature, values);
      const started = performance.now();
      const updates = new Map<string, Tensor>();
      const fetched: Record<string, FetchedValue> = {};
      try {
        tf.tidy(() => {
          const outputs = signature.build(
            feedTensors(tf, signature, values),
            eagerScope(tf, program, current, updates),
          );
          checkWanted(name, Object.keys(outputs), wanted ?? []);
          for (const key of wanted ?? Object.keys(outputs))
            fetched[key] = outputs[key]?.dataSync().slice() as FetchedValue;
          // A new value may be an output of the pass or another variable's tensor: each variable owns its own.
          for (const [variable, value] of updates) updates.set(variable, tf.keep(tf.clone(value)));
        });
      } catch (error) {
        throw isNativeError(error) ? runError(error, name) : error;
      }
      for (const [variable, value] of updates) replace(variable, value);
      timings.runMs += performance.now() - started;
      return fetched;
    },
    read: (names) =>
      new Map(
        names.map((name) => {
          const tensor = current(name);
          return [name, { shape: [...tensor.shape], data: Float32Array.from(tensor.dataSync()) }];
        }),
      ),
    write: (values) => {
      for (const [name, tensor] of values) checkWrite(program, name, tensor);
      for (const [name, { shape, data }] of values) replace(name, tf.tensor(Float32Array.from(data), shape));
    },
    dispose: () => {
      for (const tensor of variables.values()) tensor.dispose();
      variables.clear();
    },
  };
}

function feedTensors(tf: Tf, { feeds }: Signature, values: Parameters<Session['run']>[1]): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(feeds).map(([key, { shape, dtype }]) => {
      const value = values[key] ?? 0;
      return [key, tf.tensor(typeof value === 'number' ? [value] : value.slice(), [...shape], dtype)];
    }),
  );
}

function eagerScope(tf: Tf, program: Program, read: Scope['read'], updates: Map<string, Tensor>): Scope {
  const set = (name: string, value: Tensor): void => {
    const { shape, isFrozen } = variableOf(program, name);
    invariant(!isFrozen, `variable ${name} is frozen and cannot be updated`);
    invariant(!updates.has(name), `variable ${name} is updated twice in one call`);
    invariant(value.size === sizeOf(shape), `variable ${name} cannot take [${value.shape.join(', ')}]`);
    updates.set(name, value);
  };
  return {
    read,
    assign: set,
    assignAdd: (name, value) => set(name, tf.add(read(name), value)),
    scatterRows: (name, indices, rows) => {
      const old = read(name);
      const next = tf.tensorScatterUpdate(old as never, tf.expandDims(indices, 1) as never, rows as never) as Tensor;
      set(name, next);
      return next;
    },
    copyRows: (name, from, to) => {
      const old = read(name);
      const rows = tf.gather(old, from as never) as Tensor;
      set(name, tf.tensorScatterUpdate(old as never, tf.expandDims(to, 1) as never, rows as never) as Tensor);
    },
  };
}
