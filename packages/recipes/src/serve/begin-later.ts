import type { Answer } from '@moraine/lm';

/** An answer that begins once it has a place. It may be cancelled before. */
export function beginLater<T>(place: Promise<T>, begin: (place: T) => Answer): Answer {
  let answer: Answer | null = null;
  let isCancelled = false;
  const completion = place.then((found) => {
    answer = begin(found);
    if (isCancelled) answer.cancel();
    return answer.completion;
  });
  // An answer that nobody waits for is no fault of the process.
  completion.catch(() => undefined);
  return {
    completion,
    cancel: () => {
      isCancelled = true;
      answer?.cancel();
    },
  };
}
