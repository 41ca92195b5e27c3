/** The sizes of a decoder and its family: all that counting, planning and checking weights need. Widths are numbers of features. */
export interface ModelShape {
  /** `model_type` of config.json, which names the family. */
  modelType: string;
  vocabSize: number;
  hiddenSize: number;
  intermediateSize: number;
  layers: number;
  heads: number;
  /** Key and value heads; fewer than `heads` is grouped-query attention. */
  kvHeads: number;
  headDim: number;
  /** Longest context in tokens. */
  maxPositions: number;
  /** The head is the embedding table. */
  tieEmbeddings: boolean;
  /** Which linear layers of a block add a bias. */
  biases: { qkv: boolean; output: boolean; mlp: boolean };
  /** Queries, keys and values come of one matrix, gate and up of another (Phi-3); otherwise each has its own. */
  fused: boolean;
  /** Norms of queries and keys before their rotation: over each head (Qwen3), over all heads together (OLMo 2), or none. */
  qkNorm: 'head' | 'projection' | null;
  norms: BlockNorms;
}

/** Names of the root-mean-square norms around the two parts of a block; null where a family has none. */
export interface BlockNorms {
  beforeAttention: string | null;
  afterAttention: string | null;
  beforeMlp: string | null;
  afterMlp: string | null;
  /** What is added to a stored norm weight before it multiplies: 1 where 0 is stored for "unchanged" (Gemma). */
  offset: 0 | 1;
}

/** One linear layer of a model: its Hugging Face module path and widths. */
export interface LinearShape {
  name: string;
  inDim: number;
  outDim: number;
}

/** One weight of a model by its Hugging Face name. A linear layer's matrix is [out, in]. */
export interface ModelTensor {
  name: string;
  shape: number[];
  /** Set when the weight is the matrix of a linear layer that a method can adapt. */
  linear?: LinearShape;
  /** Value of every number of a vector at the start of pre-training; matrices are drawn. */
  start?: 0 | 1;
}

/** The weight of the linear layer at a module path. */
export function linear(path: string, inDim: number, outDim: number): ModelTensor {
  return { name: `${path}.weight`, shape: [outDim, inDim], linear: { name: path, inDim, outDim } };
}
