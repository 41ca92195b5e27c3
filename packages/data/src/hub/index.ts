export { listNamedTemplates } from '../template-files.js';
export { type FetchedBase, type FetchOptions, fetchBase, fetchBaseInto } from './fetch-base.js';
export { type Hub, openHub, type Patience, PUBLIC_HUB } from './hub.js';
export { type HubSource, hubSourceText, isHubSource, parseHubSource } from './source.js';
