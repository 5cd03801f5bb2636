import type { AveragerEngine } from '#engine';
import { type LeaseFrame, type LeaseReceipt, leaseKey, type RunState, type WorkerId } from '#training';
import { ContestedPlaces } from './contested-places.js';
import { type Arrival, Uploads } from './uploads.js';

/** What it needs of an engine. */
export type LeasePlaces = Pick<AveragerEngine, 'leasePlace' | 'leasePlaces'>;

/**
 * Receives what leases left behind, each in a place of its own until it is adopted: the next lease's result may come
 * before the one before it counts.
 *
 * As with gradients, two workers may send the same lease, each into a place of its own until one is whole. Frames of a lease
 * that is in, or not announced, are dropped.
 */
export class LeaseInbox {
  readonly #engine: LeasePlaces;
  readonly #places = new Map<string, number>();
  readonly #uploads = new Uploads();
  readonly #contested = new ContestedPlaces();

  constructor(engine: LeasePlaces) {
    this.#engine = engine;
  }

  accept(state: RunState, worker: WorkerId, frame: LeaseFrame): 'written' | 'dropped' {
    const key = leaseKey(frame.step, frame.end);
    const held = state.items.get(key);
    if (held === undefined || held.receipt !== undefined) return 'dropped';
    const place = this.#bytesOf(this.#placeFor(state, key));
    const end = frame.offset + frame.payload.byteLength;
    if (frame.totalBytes !== place.byteLength || end > place.byteLength) return 'dropped';
    this.#contested.write(worker, key, place, frame.offset, frame.payload);
    this.#uploads.add(worker, key, frame);
    return 'written';
  }

  /** Ends a worker's upload; undefined when bytes are missing. */
  complete(state: RunState, { worker, step, end }: LeaseReceipt): Arrival | undefined {
    const key = leaseKey(step, end);
    const place = this.#places.get(key);
    if (place === undefined) return undefined;
    const bytes = this.#bytesOf(place);
    const arrival = this.#uploads.end(worker, key, bytes.byteLength);
    const held = state.items.get(key);
    if (arrival === undefined || held === undefined || held.receipt !== undefined) this.#contested.drop(worker, key);
    else this.#contested.settle(worker, key, bytes);
    return arrival;
  }

  /** Where a complete lease lies. */
  placeOf({ step, end }: LeaseReceipt): number {
    const place = this.#places.get(leaseKey(step, end));
    if (place === undefined) throw new Error(`the lease of steps ${step}..${end - 1} lies nowhere`);
    return place;
  }

  /** Uploads of this worker that will not be finished. */
  forget(worker: WorkerId): void {
    this.#uploads.forget(worker);
    this.#contested.forget(worker);
  }

  /** A lease has a place from its first frame until it is committed, which is when its item is gone. */
  #placeFor(state: RunState, key: string): number {
    for (const known of this.#places.keys()) if (!state.items.has(known)) this.#places.delete(known);
    const known = this.#places.get(key);
    if (known !== undefined) return known;
    const used = new Set(this.#places.values());
    let place = 0;
    while (used.has(place)) place++;
    if (place >= this.#engine.leasePlaces) throw new Error(`more than ${this.#engine.leasePlaces} leases are open`);
    this.#places.set(key, place);
    return place;
  }

  #bytesOf(place: number): Uint8Array {
    const { buffer, byteOffset, byteLength } = this.#engine.leasePlace(place);
    return new Uint8Array(buffer, byteOffset, byteLength);
  }
}
