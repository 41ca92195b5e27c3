import type { TaskKind } from '@moraine/contract';
import type { Claim, Services } from '@moraine/services';
import { trainWork } from './train-work.js';
import type { Work } from './work.js';

/** What a worker does with a claim, by the kind of its task. */
export const KINDS: { readonly [K in TaskKind]: (s: Services, claim: Claim) => Work } = { train: trainWork };
