export {
  type ComparedArm,
  type ComparedRun,
  type Comparison,
  FACTORS,
  type Factor,
  type NotComparable,
} from './comparison.js';
export { notComparable, yardstickLabel } from './not-comparable.js';
