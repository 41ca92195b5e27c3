export { COLORS } from './colors.js';
export { type Band, escapeXml, type Panel, type Plot, type Point, plotSvg, type Series } from './plot.js';
export { tickText } from './scale.js';
