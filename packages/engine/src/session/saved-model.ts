import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { invariant } from '../error.js';
import type { Graph } from '../graph/graph.js';
import { loadTf } from '../load.js';
import type { Tensor } from '../raw-ops.js';

export interface LoadedGraph {
  /** Runs a signature: feeds by name in, outputs by name out. The caller owns both. */
  predict(signature: string, feeds: Record<string, Tensor>): Record<string, Tensor>;
  dispose(): void;
}

interface LoadedSignature {
  predict(feeds: Record<string, Tensor>): unknown;
  dispose(): void;
}

/**
 * Loads a graph into TensorFlow as one session with all its signatures. The package reads the model's file anew for every signature and
 * shares the session by the folder's name, so after the first the file is replaced by one that holds the next signature alone; loading
 * then takes time in proportion to the graph, not to graph x signatures. The folder is gone when this returns.
 */
export async function loadGraph(graph: Graph, signatures: readonly string[]): Promise<LoadedGraph> {
  const tf = loadTf();
  const folder = mkdtempSync(path.join(tmpdir(), `moraine-graph-${process.pid}-`));
  const file = path.join(folder, 'saved_model.pb');
  const loaded = new Map<string, LoadedSignature>();
  try {
    for (const [i, name] of signatures.entries()) {
      writeFileSync(file, i === 0 ? graph.savedModel([name]) : graph.signatureOnly(name));
      loaded.set(name, (await tf.node.loadSavedModel(folder, ['serve'], name)) as unknown as LoadedSignature);
    }
  } catch (error) {
    for (const model of loaded.values()) model.dispose();
    throw error;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return {
    predict: (name, feeds) => {
      const model = loaded.get(name);
      invariant(model !== undefined, `signature ${name} is not loaded, or the session is disposed of`);
      return model.predict(feeds) as Record<string, Tensor>;
    },
    dispose: () => {
      for (const model of loaded.values()) model.dispose();
      loaded.clear();
    },
  };
}
