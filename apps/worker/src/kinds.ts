import type { Claim, Services } from '@moraine/services';
import { analyseWork } from './analyse-work.js';
import { evaluateWork } from './evaluate-work.js';
import { trainWork } from './train-work.js';
import { verifyWork } from './verify-work.js';
import type { Work } from './work.js';

/** What a worker does with a claim, by the kind of its task. */
export function workOf(s: Services, claim: Claim): Work {
  switch (claim.kind) {
    case 'train':
      return trainWork(s, claim);
    case 'verify':
      return verifyWork(s, claim);
    case 'evaluate':
      return evaluateWork(s, claim);
    case 'analyse':
      return analyseWork(s, claim);
    default:
      return claim satisfies never;
  }
}
