/** Resolves once what waits in the event loop has had its turn, such as a step of another session. */
export const othersTurn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
