import { type Attributes, type GraphDtype, writeAttribute } from './attributes.js';
import { ProtoWriter } from './proto.js';

export interface GraphNode {
  op: string;
  name: string;
  inputs: readonly string[];
  /** Nodes that run before, by name. */
  after: string[];
  attributes: Record<string, Attributes[string]>;
  device: string | undefined;
}

/** An output of a node, under the name that a signature gives it. */
type NamedOutputs = ReadonlyMap<string, { ref: string; shape: readonly number[]; dtype: GraphDtype }>;

export interface GraphSignature {
  inputs: NamedOutputs;
  outputs: NamedOutputs;
}

/** A SavedModel message (tensorflow/core/protobuf/saved_model.proto) with one meta graph, tag `serve`. */
export function writeSavedModel(nodes: readonly GraphNode[]): Buffer {
  const writer = new ProtoWriter();
  writer.int(1, 1).message(2, (metaGraph) => {
    metaGraph.message(1, (info) => info.bytes(4, 'serve'));
    metaGraph.message(2, (graph) => {
      for (const node of nodes) graph.message(1, (w) => writeNode(w, node));
      graph.message(4, (versions) => versions.int(1, producerVersion));
    });
  });
  return writer.finish();
}

/** The name of an output of a node as TensorFlow has it: `node:output`. */
export const tensorName = ({ ref }: { ref: string }): string => (ref.includes(':') ? ref : `${ref}:0`);

/** GraphDef version that this writer's operations follow (TensorFlow 2.16's; newer libraries read it). */
const producerVersion = 1882;

function writeNode(writer: ProtoWriter, { op, name, inputs, after, attributes, device }: GraphNode): void {
  writer.bytes(1, name).bytes(2, op);
  for (const input of inputs) writer.bytes(3, input);
  for (const other of new Set(after)) writer.bytes(3, `^${other}`);
  if (device !== undefined) writer.bytes(4, device);
  for (const [key, value] of Object.entries(attributes)) {
    writer.message(5, (pair) => pair.bytes(1, key).message(2, (w) => writeAttribute(w, value)));
  }
}
