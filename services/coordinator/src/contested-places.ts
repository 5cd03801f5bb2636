import { copyBytes } from '#protocol';
import type { WorkerId } from '#training';

/**
 * Two workers may send the same thing at the same time, and they need not send the same bytes: one of them may compute wrong.
 * The first writes to the place itself, another to a buffer aside, which goes to the place when it is whole. So what lies
 * there after a receipt is what that receipt's worker sent.
 */
export class ContestedPlaces {
  readonly #owners = new Map<string, WorkerId>();
  readonly #aside = new Map<string, Uint8Array>();

  write(worker: WorkerId, key: string, place: Uint8Array, offset: number, payload: Uint8Array): void {
    copyBytes(this.#bufferOf(worker, key, place), offset, payload);
  }

  /** A worker's copy is whole: it lies in the place from now on. */
  settle(worker: WorkerId, key: string, place: Uint8Array): void {
    const own = this.#aside.get(nameOf(worker, key));
    this.#aside.delete(nameOf(worker, key));
    const owner = this.#owners.get(key);
    this.#owners.delete(key);
    if (own === undefined) return;
    // The other goes on where it was, aside.
    if (owner !== undefined && owner !== worker) this.#aside.set(nameOf(owner, key), place.slice());
    place.set(own);
  }

  /** What a worker sent of one thing is not needed, or will not be finished. */
  drop(worker: WorkerId, key: string): void {
    this.#aside.delete(nameOf(worker, key));
    if (this.#owners.get(key) === worker) this.#owners.delete(key);
  }

  forget(worker: WorkerId): void {
    for (const name of this.#aside.keys()) if (name.startsWith(nameOf(worker, ''))) this.#aside.delete(name);
    for (const [key, owner] of this.#owners) if (owner === worker) this.#owners.delete(key);
  }

  #bufferOf(worker: WorkerId, key: string, place: Uint8Array): Uint8Array {
    const aside = this.#aside.get(nameOf(worker, key));
    if (aside !== undefined) return aside;
    const owner = this.#owners.get(key) ?? worker;
    if (owner === worker) {
      this.#owners.set(key, worker);
      return place;
    }
    const buffer = new Uint8Array(place.byteLength);
    this.#aside.set(nameOf(worker, key), buffer);
    return buffer;
  }
}

function nameOf(worker: WorkerId, key: string): string {
  return `${worker}/${key}`;
}
