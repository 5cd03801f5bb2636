/** What every command is given; nothing in the cli reaches for `process` past this. */
import type { Environment } from './environment.js';
import type { Interrupts } from './interrupts.js';
import type { Terminal } from './terminal.js';

export interface Context {
  readonly terminal: Terminal;
  readonly environment: Environment;
  readonly interrupts: Interrupts;
  /** Relative paths of the user start here. */
  readonly directory: string;
}
