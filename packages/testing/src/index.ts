export { type Between, openBetween } from './between.js';
export { type DatabaseClock, databaseClock } from './database-clock.js';
export { openSmallDisk, type SmallDisk } from './small-disk.js';
export { smallTokenizer } from './small-tokenizer.js';
export { migratedDatabase, type TestDatabase, type TestServices, testDatabase, testServices } from './test-services.js';
