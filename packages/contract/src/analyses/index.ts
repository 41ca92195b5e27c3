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
  AnalysisCourse,
  CanariesCourse,
  COURSE_FIGURES,
  type CourseFigure,
  CourseFigures,
  type CourseHead,
  type CoursePoint,
  canariesCourse,
  WeightsCourse,
  weightsCourse,
} from './course.js';
export { coursePanels, renderCourse } from './course-figures.js';
export {
  CanaryRow,
  charactersRight,
  ExposureSummary,
  expectedExposure,
  exposureOf,
  MemorisationSummary,
  rankOfFirst,
  summariseCanaries,
} from './exposure.js';
export {
  intruderCurve,
  intrudersAt,
  type MeasuredWeight,
  summariseWeights,
  WeightRow,
  WeightSummary,
} from './weights.js';
