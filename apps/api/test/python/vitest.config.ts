import { defineConfig } from 'vitest/config';
import root from '../../../../vitest.config.js';

/** Outside `npm test`: it installs the Python client with pip. */
export default defineConfig({ test: { ...root.test, include: ['apps/api/test/python/*.check.ts'] } });
