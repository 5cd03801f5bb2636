// Writes docs/cli.md and docs/protocol.md: `node scripts/build.mjs && node scripts/write-reference.mjs`.
import { writeFileSync } from 'node:fs';
import { readEnvironment } from '../dist/cli/src/environment.js';
import { openTerminal } from '../dist/cli/src/terminal.js';
import { commandLinePage } from '../dist/docs/reference/command-line.js';
import { protocolPage } from '../dist/docs/reference/wire.js';

const environment = readEnvironment({});
const terminal = openTerminal(process.stdout, process.stderr, environment);
writeFileSync(new URL('../docs/cli.md', import.meta.url), commandLinePage({ terminal, environment }));
writeFileSync(new URL('../docs/protocol.md', import.meta.url), protocolPage());
