/**
 * What is still to be written down of a step whose weights are on their way. Records cost about half a millisecond that the
 * workers need not wait for: they are written in the same turn of the event loop, so before anything more can be heard of
 * the run.
 */
export class LateRecord {
  readonly #failed: (error: unknown) => void;
  #unwritten: (() => void) | undefined;

  /** @param failed a step that is not in the ledger may not count, and its weights are out */
  constructor(failed: (error: unknown) => void) {
    this.#failed = failed;
  }

  soon(write: () => void): void {
    this.#unwritten = write;
    setImmediate(() => this.write());
  }

  /** Now, if anything is left to be written. */
  write(): void {
    const write = this.#unwritten;
    this.#unwritten = undefined;
    try {
      write?.();
    } catch (error) {
      this.#failed(error);
    }
  }
}
