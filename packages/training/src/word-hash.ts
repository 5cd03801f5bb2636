/**
 * MurmurHash3_x86_32 (Austin Appleby, public domain) of a text's UTF-8 bytes, as an unsigned number: what puts the words of
 * a hashed column into buckets. scikit-learn's `murmurhash3_32(text, seed, positive=True)` says the same.
 *
 * Refers to nothing outside of itself: the export `js` embeds its text.
 */
export function hashWord(text: string, seed: number): number {
  const bytes = new TextEncoder().encode(text);
  const whole = bytes.length - (bytes.length % 4);
  const mix = (word: number): number => {
    const spread = Math.imul(word, 0xcc9e2d51);
    return Math.imul((spread << 15) | (spread >>> 17), 0x1b873593);
  };
  const byte = (at: number): number => bytes[at] ?? 0; // beyond the end: nothing is mixed in
  let hash = seed | 0;
  for (let at = 0; at < whole; at += 4) {
    hash ^= mix(byte(at) | (byte(at + 1) << 8) | (byte(at + 2) << 16) | (byte(at + 3) << 24));
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0;
  }
  hash ^= mix(byte(whole) | (byte(whole + 1) << 8) | (byte(whole + 2) << 16));
  hash ^= bytes.length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
