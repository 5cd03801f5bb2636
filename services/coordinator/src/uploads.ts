import type { WorkerId } from '#training';

/** When the bytes of something came in, on the coordinator's monotonic clock, milliseconds. */
export interface Arrival {
  readonly firstFrameAt: number;
  readonly lastFrameAt: number;
}

interface Upload extends Arrival {
  readonly bytes: number;
}

/** Counts what workers have sent of tensors that come in frames, in order of their offsets. */
export class Uploads {
  readonly #uploads = new Map<string, Upload>();

  /** A frame was written. @param key what it is a part of */
  add(
    worker: WorkerId,
    key: string,
    { offset, payload }: { readonly offset: number; readonly payload: Uint8Array },
  ): void {
    const now = performance.now();
    const upload = this.#uploads.get(uploadKey(worker, key));
    this.#uploads.set(uploadKey(worker, key), {
      // From the start again: this worker has sent an earlier copy of it, or part of one.
      bytes: (offset === 0 ? 0 : (upload?.bytes ?? 0)) + payload.byteLength,
      firstFrameAt: upload?.firstFrameAt ?? now,
      lastFrameAt: now,
    });
  }

  /** Ends an upload; undefined unless exactly so many bytes came. */
  end(worker: WorkerId, key: string, bytes: number): Arrival | undefined {
    const upload = this.#uploads.get(uploadKey(worker, key));
    this.#uploads.delete(uploadKey(worker, key));
    return upload?.bytes === bytes ? upload : undefined;
  }

  /** Uploads of this worker that will not be finished. */
  forget(worker: WorkerId): void {
    for (const key of this.#uploads.keys()) if (key.startsWith(uploadKey(worker, ''))) this.#uploads.delete(key);
  }
}

function uploadKey(worker: WorkerId, key: string): string {
  return `${worker}/${key}`;
}
