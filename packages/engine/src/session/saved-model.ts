import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { invariant } from '../error.js';
import type { Entry, Graph } from '../graph/graph.js';
import { tensorName } from '../graph/saved-model-file.js';
import { loadTf } from '../load.js';
import type { Tensor } from '../raw-ops.js';
import { othersTurn } from './others-turn.js';

export interface LoadedGraph {
  /** Runs a signature: feeds by name in, outputs that are wanted by name out. The caller owns both. */
  predict(signature: string, feeds: Record<string, Tensor>, wanted: readonly string[]): Record<string, Tensor>;
  dispose(): void;
}

/** The part of tfjs-node's backend that its own `loadSavedModel` stands on. */
interface SessionBackend {
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
 * Loads a graph into TensorFlow as one session. `tf.node.loadSavedModel` would read all nodes in JavaScript to find the signatures, as long again as
 * TensorFlow itself takes, and anew for each of them; here the graph says what they are. Others get their turn in between.
 */
export async function loadGraph(graph: Graph): Promise<LoadedGraph> {
  const backend = loadTf().backend() as unknown as SessionBackend;
  const folder = mkdtempSync(path.join(tmpdir(), `moraine-graph-${process.pid}-`));
  let session: number | null = null;
  try {
    writeFileSync(path.join(folder, 'saved_model.pb'), graph.savedModel());
    await othersTurn();
    session = backend.loadSavedModelMetaGraph(folder, 'serve');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  await othersTurn();
  // The graph itself, which is large, is not kept.
  const { signatures } = graph;
  return {
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

/** An int64 feed is an int32 tensor, which the package widens where it is told. */
const place = (entry: Pick<Entry, 'ref' | 'dtype'>) => ({
  name: tensorName(entry),
  tfDtype: `DT_${entry.dtype.toUpperCase()}`,
});
