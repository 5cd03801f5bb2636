/**
 * Gradients in eight bits: whole numbers from -127 to 127, and one float32 scale for each group of `INT8_GROUP` values
 * from the first on. The assembly reads these numbers too.
 */

/** Values that share a scale: 0.4 % of bytes on top, and an outlier spoils no more than its own group. */
export const INT8_GROUP = 1024;

export const INT8_LARGEST = 127;

/** 127 · 2^-126: a group below it would have a scale that float32 holds with fewer digits, and counts as zero. */
export const INT8_SMALLEST = 1.4928778255443051e-36;

/** Values rounded with the draws of four Philox counters, 16 bits each. A group is a whole number of these. */
export const INT8_DRAWN_TOGETHER = 32;
