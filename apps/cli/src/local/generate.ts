import type { Command } from '../args.js';

export const generateCommand: Command = { name: 'local generate', forms: [''], options: {}, run: async () => 1 };
