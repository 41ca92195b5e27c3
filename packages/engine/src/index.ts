export { decode, encode } from './dtype.js';
export { EngineError, type EngineErrorCode, InvariantError, invariant } from './error.js';
export { type Device, device, loadTf, type Tf } from './load.js';
export { bfloat16Instructions } from './processor.js';
export {
  after,
  type Branch,
  choose,
  decomposeSingular,
  gatherRows,
  inFloat32,
  invertMatrices,
  matMul2d,
  orthonormalColumns,
  type RawOpBackend,
  type RawOutput,
  rawOp,
  smallMatMul,
  statelessRandomUniform,
  type Tensor,
} from './raw-ops.js';
export {
  type LazyTensor,
  readSafetensors,
  readSafetensorsHeader,
  type SafetensorsBytes,
  type SafetensorsFile,
  type SafetensorsTensor,
  type StoredTensor,
  safetensorsBytes,
  type TensorData,
  type TensorDtype,
  type WritableTensor,
  writeSafetensors,
} from './safetensors.js';
export { compile } from './session/compile.js';
export { readSlice } from './session/read-slice.js';
export type {
  FedTensors,
  Feed,
  Feeds,
  FeedValue,
  FetchedValue,
  FileSlice,
  FusedUpdate,
  HostTensor,
  NumericMode,
  Program,
  Scope,
  Session,
  SessionTimings,
  Signature,
  VariableSpec,
} from './session/types.js';
export { signature } from './session/types.js';
