import type { Kernels } from '../kernel.js';
import { binaryKernels } from './binary.js';
import { linalgKernels } from './linalg.js';
import { lookupKernels } from './lookup.js';
import { reduceKernels } from './reduce.js';
import { shapeKernels } from './shape.js';
import { unaryKernels } from './unary.js';

/** Every tfjs kernel that can be traced, by tfjs's name. */
export const allKernels: Kernels = {
  ...unaryKernels,
  ...binaryKernels,
  ...reduceKernels,
  ...shapeKernels,
  ...lookupKernels,
  ...linalgKernels,
};
