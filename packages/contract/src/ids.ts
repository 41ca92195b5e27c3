/** Every id says what it names. The prefixes of the OpenAI API where it has one, ours elsewhere. */
export const ID_PREFIX = {
  run: 'ftjob-',
  file: 'file-',
  upload: 'upload_',
  part: 'part_',
  checkpoint: 'ftckpt_',
  event: 'ftevent-',
  worker: 'wrk_',
  inference: 'inf_',
  apiKey: 'key_',
  project: 'proj_',
  base: 'base_',
  download: 'dl_',
  adapter: 'adp_',
  evaluation: 'eval_',
  evaluationTask: 'evaltask_',
  analysisTask: 'analysis_',
  verification: 'verify_',
  webhook: 'wh_',
  delivery: 'whd_',
  experiment: 'exp_',
  webhookEvent: 'evt_',
} as const;

export type IdKind = keyof typeof ID_PREFIX;

const ALPHABET = '0123456789abcdefghijklmnopqrstuvwxyz';

/** A fresh id: its prefix and 24 letters of base 36 (124 bits) from the platform's random source. */
export function newId(kind: IdKind): string {
  const bytes = crypto.getRandomValues(new Uint8Array(48));
  let letters = '';
  for (const byte of bytes) if (byte < 252 && letters.length < 24) letters += ALPHABET[byte % 36];
  return letters.length === 24 ? ID_PREFIX[kind] + letters : newId(kind);
}
