import type { Claim, Services } from '@moraine/services';
import { trainWork } from './train-work.js';
import { verifyWork } from './verify-work.js';
import type { Work } from './work.js';

/** What a worker does with a claim, by the kind of its task. */
export const workOf = (s: Services, claim: Claim): Work =>
  claim.kind === 'verify' ? verifyWork(s, claim) : trainWork(s, claim);
