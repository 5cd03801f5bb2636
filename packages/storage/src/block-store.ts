/** Blocks of numbers that were read, in memory while they are few and in a file without a name when they are many. */
import { closeSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { writeError } from './atomic-file.js';

/** Typed arrays of one kind. */
export interface NumberBlock extends ArrayBufferView {
  readonly length: number;
  [index: number]: number;
}

export interface BlockStore<Block extends NumberBlock> {
  /** Adds a block behind the others; all but the last have the same length. It must not be written to afterwards. */
  push(block: Block): void;
  /** Fast for the block asked for last. What it returns is valid until the next few calls, and read only. */
  get(index: number): Block;
}

/** Where the blocks of one data set go; its files are gone when it is disposed, or the process is. */
export interface BlockSpace extends Disposable {
  /** @param allocate a block of so many numbers, to be read into */
  open<Block extends NumberBlock>(allocate: (length: number) => Block): BlockStore<Block>;
}

/** Of all stores of a space together: beyond it their blocks go to disk. */
const MEMORY_BYTES = 64 * 2 ** 20;
/** Read again from disk, of each store: rows are mostly visited in their order. */
const CACHED_BLOCKS = 4;

/** @param directory undefined: everything stays in memory */
export function openBlockSpace(directory: string | undefined, memoryBytes = MEMORY_BYTES): BlockSpace {
  const files: number[] = [];
  let inMemory = 0;

  function openFile(): number {
    const path = join(directory ?? '', `.reading-${process.pid}-${files.length}`);
    try {
      const file = openSync(path, 'w+', 0o600);
      files.push(file);
      unlinkSync(path); // nobody else needs its name, and a crash leaves nothing
      return file;
    } catch (cause) {
      throw writeError(path, cause);
    }
  }

  return {
    open<Block extends NumberBlock>(allocate: (length: number) => Block): BlockStore<Block> {
      const lengths: number[] = [];
      let blocks: Block[] = [];
      let file: number | undefined;
      let fileBytes = 0;
      const offsets: number[] = [];
      const cache = new Map<number, Block>();
      let lastIndex = -1;
      let last: Block | undefined;

      function spill(block: Block): void {
        file ??= openFile();
        offsets.push(fileBytes);
        const bytes = new Uint8Array(block.buffer, block.byteOffset, block.byteLength);
        try {
          for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at, bytes.length - at, fileBytes + at);
        } catch (cause) {
          throw writeError(join(directory ?? '', '.reading'), cause);
        }
        fileBytes += bytes.length;
      }

      function readBack(index: number): Block {
        const cached = cache.get(index);
        if (cached !== undefined) return cached;
        const block = allocate(lengths[index]!);
        const bytes = new Uint8Array(block.buffer, block.byteOffset, block.byteLength);
        for (let at = 0; at < bytes.length; ) {
          const read = readSync(file!, bytes, at, bytes.length - at, offsets[index]! + at); // there is one: it was written to
          if (read === 0) throw new Error('a file that was written to has become shorter');
          at += read;
        }
        for (const oldest of cache.keys()) if (cache.size >= CACHED_BLOCKS) cache.delete(oldest);
        cache.set(index, block);
        return block;
      }

      return {
        push(block) {
          lengths.push(block.length);
          if (file === undefined && (directory === undefined || inMemory + block.byteLength <= memoryBytes)) {
            inMemory += block.byteLength;
            blocks.push(block);
            return;
          }
          for (const before of blocks) {
            spill(before);
            inMemory -= before.byteLength;
          }
          blocks = [];
          spill(block);
        },
        get(index) {
          if (index === lastIndex && last !== undefined) return last;
          const block = file === undefined ? blocks[index]! : readBack(index); // callers stay below what they pushed
          lastIndex = index;
          last = block;
          return block;
        },
      };
    },
    [Symbol.dispose]() {
      for (const file of files.splice(0)) closeSync(file);
    },
  };
}
