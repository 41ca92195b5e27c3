import type { Scope, Tensor } from '@moraine/engine';
import type { Net } from '../net.js';

/** The weights of a pass, with adapters or without, from a program's variables and what a call feeds. */
export type NetOf = (scope: Scope, feeds: Readonly<Record<string, Tensor>>) => Net;
