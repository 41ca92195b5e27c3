export { SANDBOX_LIMITS, type SandboxLimits } from './launcher.js';
export { passes, reasonOf, type Verdict } from './passes.js';
export { requireSandbox } from './require-sandbox.js';
export { type ProgramResult, runProgram } from './run-program.js';
