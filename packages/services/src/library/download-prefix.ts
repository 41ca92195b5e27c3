/** Where the files of a download lie until the base is registered. */
export const downloadPrefix = (id: string): string => `hub/${id}`;
