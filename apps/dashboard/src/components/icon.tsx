const PATHS = {
  queued: 'M8 2.500a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11zM8 5v3.200l2.2 1.3',
  running: 'M5 3.500v9l7.5-4.500z',
  paused: 'M5.5 3.500v9M10.5 3.500v9',
  succeeded: 'M3 8.500l3.5 3.500L13 4.5',
  failed: 'M4 4l8 8M12 4l-8 8',
  cancelled: 'M8 2.500a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11zM4.2 4.200l7.6 7.6',
  warning: 'M8 2.500l6 11H2zM8 6.500v3.200M8 11.600v.4',
  idle: 'M8 5.500a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5z',
  saving: 'M8 2.500v7M5 6.800L8 9.800l3-3M3 13.500h10',
  copy: 'M6 6h7.500v7.500H6zM10.5 6V2.500H2.500v8H6',
  system: 'M8 2.500a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11zM8 2.500v11',
  light:
    'M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM8 1v1.500M8 13.500V15M1 8h1.500M13.5 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1',
  dark: 'M13 9.800A5.5 5.5 0 1 1 6.2 3a4.5 4.5 0 0 0 6.8 6.800z',
} as const;

export type IconName = keyof typeof PATHS;

/** A line drawing of 14 px in the colour of its text; the word beside it says the same. */
export function Icon({ name }: { name: IconName }) {
  return (
    <svg
      className="icon"
      viewBox="0 0 16 16"
      width="14"
      height="14"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.6"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}
