/** How fast an attempt goes, from what its steps said so far; stored with the run. Times are the worker's, in milliseconds. */
export interface Pace {
  attempt: number;
  /** The last of the steps that came first, and when: the first step also warms up, so time counts from its end. */
  firstStep: number;
  firstAt: number;
  step: number;
  at: number;
  /** Steps and time of late; older ones count half as much every `halfLifeMs`. */
  recentSteps: number;
  recentMs: number;
}

export interface TimedStep {
  step: number;
  at: number;
}

/** Seconds to the last step: what is likely, and from where to where it may be. */
export interface TimeLeft {
  seconds: number;
  range: [low: number, high: number];
}

const HALF_LIFE_MS_LEAST = 60_000;
/** What no pace of the past tells of the future, as a share. */
const MARGIN = 0.1;

/** Of late is a quarter of the whole time, so that an evaluation now and then does not throw the pace about. */
const halfLifeMs = (pace: Pace): number => Math.max(HALF_LIFE_MS_LEAST, (pace.at - pace.firstAt) / 4);

/** The pace after a batch of steps. Steps that were counted before are not counted again; another attempt starts anew. */
export function advancePace(before: Pace | null, attempt: number, batch: readonly TimedStep[]): Pace | null {
  let pace = before?.attempt === attempt ? before : null;
  for (const { step, at } of [...batch].sort((a, b) => a.step - b.step)) {
    if (pace === null || at <= pace.firstAt)
      pace = { attempt, firstStep: step, firstAt: at, step, at, recentSteps: 0, recentMs: 0 };
    else if (step > pace.step) pace = afterStep(pace, step, at);
  }
  return pace;
}

function afterStep(pace: Pace, step: number, at: number): Pace {
  const tookMs = Math.max(0, at - pace.at);
  const keep = 0.5 ** (tookMs / halfLifeMs(pace));
  return {
    ...pace,
    step,
    at: Math.max(at, pace.at),
    recentSteps: pace.recentSteps * keep + (step - pace.step),
    recentMs: pace.recentMs * keep + tookMs,
  };
}

/** The time that `steps - step` more steps take: between the pace of the whole attempt and that of late. Null before there is a pace. */
export function timeLeft(pace: Pace | null, step: number, steps: number): TimeLeft | null {
  if (pace === null || pace.step <= pace.firstStep || pace.recentMs <= 0) return null;
  const overall = (pace.at - pace.firstAt) / (pace.step - pace.firstStep);
  const recent = pace.recentMs / pace.recentSteps;
  const left = Math.max(0, steps - step) / 1000;
  return {
    seconds: (left * (overall + recent)) / 2,
    range: [left * Math.min(overall, recent) * (1 - MARGIN), left * Math.max(overall, recent) * (1 + MARGIN)],
  };
}
