/** Events as they happen, for any number of readers, each from the first on. */

export interface EventHistory<Item> extends AsyncIterable<Item> {
  add(item: Item): void;
  /** No more will come. Readers end, or throw what was given, when they have read all there is. */
  end(failure?: unknown): void;
}

export function createEventHistory<Item>(): EventHistory<Item> {
  const items: Item[] = [];
  let ended: { readonly failure: unknown } | undefined;
  const waiting = new Set<() => void>();
  const announce = (): void => {
    const woken = [...waiting];
    waiting.clear();
    for (const wake of woken) wake();
  };
  return {
    add(item) {
      items.push(item);
      announce();
    },
    end(failure) {
      ended = { failure };
      announce();
    },
    async *[Symbol.asyncIterator]() {
      for (let next = 0; ; ) {
        while (next < items.length) yield items[next++]!;
        if (ended === undefined) await new Promise<void>((wake) => waiting.add(wake));
        else if (ended.failure !== undefined) throw ended.failure;
        else return;
      }
    },
  };
}
