#!/usr/bin/env node
/** A worker's process. What it is made of is loaded once it is sure that it can be: see `startWithinLimits`. */
import { startWithinLimits } from '#limits';

await startWithinLimits(async () => (await import('./worker-process.js')).runWorkerProcess());
