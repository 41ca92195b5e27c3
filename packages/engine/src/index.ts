export { EngineError, type EngineErrorCode } from './error.js';
export { type Device, device, loadTf, type Tf } from './load.js';
export {
  readSafetensors,
  readSafetensorsHeader,
  type SafetensorsFile,
  type SafetensorsTensor,
  type TensorData,
  type TensorDtype,
  type WritableTensor,
  writeSafetensors,
} from './safetensors.js';
