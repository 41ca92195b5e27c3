import { EngineError } from '../error.js';

/** TensorFlow's error of a run, with the signature's name and its own first line. */
export function runError(cause: unknown, signature: string): EngineError {
  const text = cause instanceof Error ? cause.message : String(cause);
  const [first = text] = text
    .replace(/^Session fail to run with error: |^Invalid TF_Status: \d+\nMessage: /, '')
    .replace(/\{\{(?:function_)?node [^}]*\}\}/g, '')
    .trim()
    .split('\n');
  if (/OOM when allocating|RESOURCE_EXHAUSTED|out of memory|Resource exhausted/i.test(text)) {
    return new EngineError(
      'out_of_memory',
      `Signature '${signature}' ran out of memory: ${first.trim()}`,
      'Use a smaller batch or shorter sequences, a smaller rank, or a machine with more memory.',
      { cause },
    );
  }
  return new EngineError(
    'run_failed',
    `Signature '${signature}' failed: ${first.trim()}`,
    'Check the values that it was given, such as token ids against the vocabulary.',
    { cause },
  );
}

/** Whether an error comes from TensorFlow rather than from the code that called it. */
export const isNativeError = (error: unknown): boolean =>
  error instanceof Error && /^(Invalid TF_Status|Session fail to run)/.test(error.message);
