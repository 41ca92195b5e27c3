export { COLORS } from './colors.js';
export {
  type Band,
  escapeXml,
  labelsOf,
  markerSvg,
  type Panel,
  type Plot,
  type Point,
  panelSvg,
  plotSvg,
  type Series,
} from './plot.js';
export { tickText } from './scale.js';
