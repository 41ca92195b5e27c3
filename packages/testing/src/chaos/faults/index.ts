import { CLOCKS } from './clocks.js';
import { DISKS } from './disks.js';
import type { Fault } from './fault.js';
import { DOUBLES, KILLS, STOPS } from './processes.js';
import { POSTGRES, REDIS } from './servers.js';

export const FAULTS: readonly Fault[] = [...KILLS, ...STOPS, ...REDIS, ...POSTGRES, ...CLOCKS, ...DISKS, DOUBLES];
