/** Okabe and Ito's colours, told apart by colour-blind readers too, on light and on dark ground; those of the dashboard's theme. */
export const COLORS: Readonly<Record<string, readonly [light: string, dark: string]>> = {
  lora: ['#0072b2', '#56b4e9'],
  mora: ['#a84f82', '#d98cb8'],
  full: ['#c24f00', '#e69f00'],
  oft: ['#00745c', '#3fbf9b'],
  dora: ['#4b5fc1', '#9aa8f0'],
  hira: ['#7a6a00', '#d6c34a'],
  miss: ['#a03c3c', '#f08d8d'],
  pissa: ['#5f6b12', '#b7c95a'],
  gralora: ['#2f6f8f', '#7fc4e0'],
  base: ['#77797a', '#8b9097'],
};
