/** Questions that this process has put to inference processes and that are not answered yet, by the id of the process. */
function createUnderWay() {
  const counts = new Map<string, number>();
  const count = (id: string): number => counts.get(id) ?? 0;
  return {
    count,
    /** Counts a question until what it returns is called. */
    begin(id: string): () => void {
      counts.set(id, count(id) + 1);
      return () => {
        if (count(id) > 1) counts.set(id, count(id) - 1);
        else counts.delete(id);
      };
    },
  };
}

export const underWay = createUnderWay();
