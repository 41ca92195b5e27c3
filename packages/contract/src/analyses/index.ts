export { intruderCurve, intrudersAt, summariseWeights, WeightRow, type WeightSummary } from './weights.js';
