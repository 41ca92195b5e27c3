export { migratedDatabase, type TestDatabase, type TestServices, testDatabase, testServices } from './test-services.js';
