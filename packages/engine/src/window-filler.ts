import type { ShardRows, WindowedRows } from './engine.js';

export type BlockRows = Pick<ShardRows, 'features' | 'targets'>;

export interface WindowFillerOptions {
  readonly rows: WindowedRows;
  /** Windows there will ever be, counted through the epochs: none beyond is fetched ahead. */
  readonly windows: number;
  /** Blocks read at the same time. */
  readonly parallel: number;
  readBlock(block: number): Promise<BlockRows>;
}

/** Keeps the two windows in the kernel's memory at what is computed on, and the one that comes next. */
export interface WindowFiller {
  /**
   * Resolves when the rows at positions `[begin, end)` of an epoch are there, and begins to fetch the window behind them, as
   * soon as its place is not needed for these. What was asked for before is not held any longer: call it when that is over.
   */
  need(epoch: number, begin: number, end: number): Promise<void>;
}

interface Loading {
  readonly window: number;
  readonly done: Promise<void>;
}

export function windowFiller({ rows, windows, parallel, readBlock }: WindowFillerOptions): WindowFiller {
  /** By place: whose blocks may be put there. */
  const loading: (Loading | undefined)[] = [undefined, undefined];

  async function fill(window: number, isWanted: () => boolean): Promise<void> {
    const blocks = rows.blocksOf(window);
    let next = 0;
    const takeBlocks = async (): Promise<void> => {
      for (let at = next++; at < blocks.length && isWanted(); at = next++) {
        const block = await readBlock(blocks[at]!);
        if (isWanted()) rows.put(window, at, block);
      }
    };
    await Promise.all(Array.from({ length: Math.min(parallel, blocks.length) }, takeBlocks));
    if (isWanted()) rows.finish(window);
  }

  function load(window: number): Promise<void> {
    if (rows.holds(window)) return Promise.resolve();
    const place = window % 2;
    const before = loading[place];
    if (before?.window === window) return before.done;
    rows.begin(window);
    const own: { window: number; done: Promise<void> } = { window, done: Promise.resolve() };
    const isWanted = (): boolean => loading[place] === own;
    loading[place] = own;
    own.done = fill(window, isWanted).finally(() => {
      if (isWanted()) loading[place] = undefined;
    });
    return own.done;
  }

  return {
    async need(epoch, begin, end) {
      const needed = rows.of(epoch, begin, end);
      await Promise.all(needed.map(load));
      const next = (needed.at(-1) ?? windows) + 1;
      if (needed.length !== 1 || next >= windows) return;
      load(next).catch(() => undefined); // whoever needs it tries again, and hears why it fails
    },
  };
}
