import { defineConfig } from 'vitest/config';
import root, { each } from '../../../../vitest.config.js';

/** Outside `npm test`: it installs the Python client with pip. */
const python = { test: { ...each, name: 'python', include: ['apps/{api,inference}/test/python/*.check.ts'] } };

export default defineConfig({ test: { ...root.test, projects: [python] } });
