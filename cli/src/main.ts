#!/usr/bin/env node
/** The `ropeteam` command. What it is made of is loaded once it is sure that it can be: see `startWithinLimits`. */
import { startWithinLimits } from '#limits';

await startWithinLimits(async () => (await import('./run-command.js')).runCommand());
