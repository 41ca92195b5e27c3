export { createFsBlobStore } from './blobs/fs.js';
export type { BlobEntry, BlobStore, StoredBlob } from './blobs/store.js';
export { type Actor, type AttemptToken, openServices, type Services, type ServicesOptions } from './context.js';
export { migrate } from './migrate.js';
