/** A figure of an evaluation. */
export interface Metric {
  /** What it is, for a heading. */
  title: string;
  /** A share of items: each has 0 or 1, or the share of its samples. Else a quantity with its unit. */
  unit: 'share' | 'answers' | 'nats per token' | 'bits per byte';
  isHigherBetter: boolean;
}

const share = (title: string): Metric => ({ title, unit: 'share', isHigherBetter: true });

/** The figures by their names; `pass@k` for any k is read by `metricOf`. */
const METRICS: Readonly<Record<string, Metric>> = {
  acc: share('Accuracy: the highest sum of log-probabilities'),
  acc_norm: share('Accuracy: the highest log-probability a character'),
  acc_bytes: share('Accuracy: the highest log-probability a byte of UTF-8'),
  acc_raw: share('OLMES: the highest sum of log-probabilities'),
  acc_per_char: share('OLMES: the highest log-probability a character'),
  exact_match: share('Answers that are right'),
  exact_match_flexible: share('Answers whose last number is right'),
  passed: share('Answers that pass the check'),
  unique_answers: { title: 'Different answers among the samples of an item', unit: 'answers', isHigherBetter: true },
  token_accuracy: share('Tokens that are the likeliest one'),
  nats_per_token: { title: 'Loss', unit: 'nats per token', isHigherBetter: false },
  bits_per_byte: { title: 'Loss by bytes of UTF-8', unit: 'bits per byte', isHigherBetter: false },
};

/** What a name of a figure means; null for one that no evaluator makes. */
export function metricOf(name: string): Metric | null {
  const passes = /^pass@(\d+)$/.exec(name)?.[1];
  if (passes !== undefined)
    return share(passes === '1' ? 'Items solved by one answer' : `Items solved by one of ${passes} answers`);
  return METRICS[name] ?? null;
}
