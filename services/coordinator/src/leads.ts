import { type Lead, takeLead } from '#storage';
import type { RopeteamError } from '#training';

/** The folders this coordinator leads: that of its runs, unless it was started for one run alone, and each run at work. */
export class Leads {
  readonly #held = new Map<string, Lead>();
  readonly #onFenced: (error: RopeteamError) => void;

  /** @param onFenced hears that another coordinator has taken over */
  constructor(onFenced: (error: RopeteamError) => void) {
    this.#onFenced = onFenced;
  }

  /** Takes the lead of a folder, if it is not held already. @throws RopeteamError COORD.HELD */
  async take(path: string): Promise<void> {
    if (this.#held.has(path)) return;
    this.#held.set(path, await takeLead(path, { onLost: this.#onFenced }));
  }

  async release(path: string): Promise<void> {
    const lead = this.#held.get(path);
    this.#held.delete(path);
    await lead?.release();
  }

  async releaseAll(): Promise<void> {
    for (const path of this.#held.keys()) await this.release(path);
  }
}
