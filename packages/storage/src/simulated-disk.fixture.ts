/**
 * A file system in memory that can lose its power at any operation. What was not synced is then lost, torn or zeros, and of
 * the changes of names since the last `syncFolder` any subset remains: harsher than journals of real file systems.
 */
import { basename } from 'node:path';
import type { Disk } from './disk.js';

interface Inode {
  content: Uint8Array;
  synced: Uint8Array;
}

type Fault = (operation: number, name: string) => void;
type Names = ReadonlyMap<string, Inode>;
type Change = (names: Map<string, Inode>) => void;

export interface SimulatedDisk extends Disk {
  /** Operations so far. */
  readonly operations: number;
  /** What a new power-up finds. */
  afterPowerCut(random: () => number, fault?: Fault): SimulatedDisk;
}

/** @param fault called before each operation with its number and name; throws to end it, for good with `PowerCut` */
export function simulatedDisk(fault: Fault = () => undefined, files: Names = new Map()): SimulatedDisk {
  const names = new Map(files);
  let syncedNames = new Map(files);
  let changes: Change[] = [];
  let operations = 0;
  let off = false;

  const begin = (name: string): void => {
    if (off) throw new PowerCut();
    try {
      fault(operations++, name);
    } catch (error) {
      off = error instanceof PowerCut;
      throw error;
    }
  };
  const change = (made: Change): void => {
    made(names);
    changes.push(made);
  };
  const found = (path: string): Inode => {
    const inode = names.get(path);
    if (inode === undefined) throw Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' });
    return inode;
  };

  return {
    get operations() {
      return operations;
    },
    async create(path) {
      begin('create');
      const inode: Inode = { content: new Uint8Array(0), synced: new Uint8Array(0) };
      change((of) => of.set(path, inode));
      return {
        async write(bytes) {
          const before = inode.content;
          inode.content = Buffer.concat([before, bytes.subarray(0, bytes.length >> 1)]); // what a cut in the midst of it leaves
          begin('write');
          inode.content = Buffer.concat([before, bytes]);
        },
        async sync() {
          begin('sync');
          inode.synced = inode.content;
        },
        async close() {
          begin('close');
        },
      };
    },
    async read(path) {
      return found(path).content;
    },
    async rename(from, to) {
      begin('rename');
      const inode = found(from);
      change((of) => {
        of.delete(from);
        of.set(to, inode);
      });
    },
    async remove(path) {
      begin('remove');
      change((of) => of.delete(path));
    },
    async list() {
      begin('list');
      return [...names.keys()].map((path) => basename(path));
    },
    async syncFolder() {
      begin('syncFolder');
      syncedNames = new Map(names);
      changes = [];
    },
    afterPowerCut(random, next) {
      const left = new Map(syncedNames);
      for (const made of changes) if (random() < 0.5) made(left);
      const settled = new Map<string, Inode>();
      for (const [path, inode] of left) {
        const content = remains(inode, random);
        settled.set(path, { content, synced: content });
      }
      return simulatedDisk(next, settled);
    },
  };
}

export class PowerCut extends Error {}

/** All that was synced, then nothing, a part, or zeros of what was not. */
function remains({ content, synced }: Inode, random: () => number): Uint8Array {
  const rest = content.length - synced.length;
  const kept = synced.length + Math.floor(random() * (rest + 1));
  const found = content.slice(0, kept);
  return random() < 0.3 ? found.fill(0, synced.length) : found;
}
