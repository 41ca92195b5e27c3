export {
  type Interval,
  isAtChance,
  LEAST_VALUES,
  type MeanInterval,
  meanInterval,
  type PairedT,
  shareDifference,
  testPairs,
  wilsonInterval,
} from './intervals.js';
export {
  type BootstrapOptions,
  bootstrapDifference,
  type ComparedVerdicts,
  compareVerdicts,
  type Difference,
  mcnemarP,
  passAtK,
} from './items.js';
export { median } from './median.js';
export { type Place, paretoFront } from './pareto-front.js';
export { evaluatePolynomial, fitPolynomial, leaveOneGroupOutR2, type Polynomial } from './polynomial.js';
