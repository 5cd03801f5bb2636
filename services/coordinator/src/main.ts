#!/usr/bin/env node
/** The coordinator's process. What it is made of is loaded once it is sure that it can be: see `startWithinLimits`. */
import { startWithinLimits } from '#limits';

await startWithinLimits(async () => (await import('./coordinator-process.js')).runCoordinatorProcess());
