export { type FetchedBase, type FetchOptions, fetchBase } from './fetch-base.js';
export { type Hub, openHub, type Patience, PUBLIC_HUB } from './hub.js';
export { type HubSource, isHubSource, parseHubSource } from './source.js';
