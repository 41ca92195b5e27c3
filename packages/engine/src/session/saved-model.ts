import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { invariant } from '../error.js';
import type { Entry, Graph } from '../graph/graph.js';
import { tensorName } from '../graph/saved-model-file.js';
import { loadTf } from '../load.js';
import type { Tensor } from '../raw-ops.js';
import { isNativeError, runError } from './run-errors.js';

export interface LoadedGraph {
  /** What the first call took, milliseconds. */
  firstMs: number;
  /** Runs a signature: feeds by name in, outputs that are wanted by name out. The caller owns both. */
  predict(signature: string, feeds: Record<string, Tensor>, wanted: readonly string[]): Record<string, Tensor>;
  dispose(): void;
}

/** The part of tfjs-node's backend that its own `loadSavedModel` stands on, and what native/load_ahead.cc adds to its binding. */
interface SessionBackend {
  binding: {
    loadAhead(folder: string, feed: string, fetch: string): Promise<number>;
    takeLoaded(folder: string): void;
  };
  loadSavedModelMetaGraph(folder: string, tags: string): number;
  runSavedModel(
    session: number,
    inputs: Tensor[],
    places: { name: string; tfDtype: string }[],
    outputs: string[],
  ): Tensor[];
  deleteSavedModel(session: number): void;
}

/**
 * Loads a graph into TensorFlow as one session, and calls the signature `first`, which takes an int64 zero; others go on meanwhile. `tf.node.loadSavedModel`
 * would read all nodes in JavaScript to find the signatures, as long again as TensorFlow itself takes, and anew for each of them; here the graph says
 * what they are.
 */
export function loadGraph(graph: Graph, first: string): Promise<LoadedGraph> {
  const loading = last.then(() => loadNow(graph, first));
  last = loading.catch(() => undefined);
  return loading;
}

/** One at a time: each takes a thread of the few that also read files, and copies of the graph that nobody counts. */
let last: Promise<unknown> = Promise.resolve();

async function loadNow(graph: Graph, first: string): Promise<LoadedGraph> {
  const backend = loadTf().backend() as unknown as SessionBackend;
  const folder = mkdtempSync(path.join(tmpdir(), `moraine-graph-${process.pid}-`));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  // The process may be told to exit meanwhile.
  process.once('exit', remove);
  let session: number | null = null;
  let firstMs = 0;
  try {
    writeFileSync(path.join(folder, 'saved_model.pb'), graph.savedModel());
    firstMs = await backend.binding.loadAhead(folder, ...endsOf(graph, first));
    backend.binding.takeLoaded(folder);
    session = backend.loadSavedModelMetaGraph(folder, 'serve');
  } catch (error) {
    throw isNativeError(error) ? runError(error, 'first values') : error;
  } finally {
    process.off('exit', remove);
    remove();
  }
  // The graph itself, which is large, is not kept.
  const { signatures } = graph;
  return {
    firstMs,
    predict: (name, feeds, wanted) => {
      const signature = signatures.get(name);
      invariant(
        session !== null && signature !== undefined,
        `there is no signature ${name}, or its session is disposed of`,
      );
      const inputs = [...signature.inputs].map(([key, entry]) => {
        const value = feeds[key];
        invariant(value !== undefined, `signature ${name} was not fed ${key}`);
        return { value, place: place(entry) };
      });
      // TensorFlow runs nothing of which nothing is fetched.
      const fetched = wanted.length > 0 ? wanted : [...signature.outputs.keys()].slice(0, 1);
      const outputs = fetched.map((key) => {
        const entry = signature.outputs.get(key);
        invariant(entry !== undefined, `signature ${name} has no output ${key}`);
        return tensorName(entry);
      });
      const found = backend.runSavedModel(
        session,
        inputs.map(({ value }) => value),
        inputs.map((input) => input.place),
        outputs,
      );
      return Object.fromEntries(fetched.map((key, i) => [key, found[i] as Tensor]));
    },
    dispose: () => {
      if (session !== null) backend.deleteSavedModel(session);
      session = null;
    },
  };
}

/** The node that a signature takes, and one that it gives. */
function endsOf({ signatures }: Graph, name: string): [feed: string, fetch: string] {
  const [feed] = signatures.get(name)?.inputs.values() ?? [];
  const [fetch] = signatures.get(name)?.outputs.values() ?? [];
  invariant(feed !== undefined && fetch !== undefined, `signature ${name} takes nothing or gives nothing`);
  return [feed.ref, fetch.ref];
}

const place = (entry: Pick<Entry, 'ref' | 'dtype'>) => ({
  name: tensorName(entry),
  tfDtype: `DT_${entry.dtype.toUpperCase()}`,
});
