export {
  CANARY_FORMS,
  CANARY_KINDS,
  Canary,
  CanaryFile,
  type CanaryKind,
  candidateCount,
  candidatesOf,
  drawCanaries,
  ownCanaries,
} from './canaries.js';
export {
  CanaryRow,
  charactersRight,
  type ExposureSummary,
  expectedExposure,
  exposureOf,
  type MemorisationSummary,
  rankOfFirst,
  summariseCanaries,
} from './exposure.js';
export { intruderCurve, intrudersAt, summariseWeights, WeightRow, type WeightSummary } from './weights.js';
