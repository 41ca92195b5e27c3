/** What an installation is doing, for a line on the screen. */
export interface InstallProgress {
  phase: 'wait' | 'download' | 'unpack' | 'compile' | 'link';
  /** A short human sentence, for example `tensorflow-cpu 2.21.0`. */
  detail: string;
  /** Bytes so far and in all, where they are known. */
  doneBytes?: number;
  totalBytes?: number;
}

export type OnProgress = (progress: InstallProgress) => void;
