/** The few things a checkpoint asks of a file system, so that a test can let it fail between any two of them. */
import { open, readdir, readFile, rename, rm } from 'node:fs/promises';

export interface DiskFile {
  write(bytes: Uint8Array): Promise<void>;
  /** Resolves when what was written survives a power cut; not so the file's name, see `syncFolder`. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

export interface Disk {
  /** An empty file to write, in the place of one that was there. */
  create(path: string): Promise<DiskFile>;
  read(path: string): Promise<Uint8Array>;
  rename(from: string, to: string): Promise<void>;
  /** One that is not there is no error. */
  remove(path: string): Promise<void>;
  list(folder: string): Promise<readonly string[]>;
  /** Resolves when the folder's names survive a power cut. */
  syncFolder(path: string): Promise<void>;
}

export const realDisk: Disk = {
  async create(path) {
    const file = await open(path, 'w');
    return { write: (bytes) => file.writeFile(bytes), sync: () => file.sync(), close: () => file.close() };
  },
  read: (path) => readFile(path),
  rename,
  remove: (path) => rm(path, { force: true }),
  list: (folder) => readdir(folder),
  async syncFolder(path) {
    await using folder = await open(path, 'r');
    await folder.sync();
  },
};
