/**
 * Floats that look random and are the same everywhere: eleven bits of a multiplicative hash of the index, scaled, so
 * each is exact in float32.
 * @param scale a power of two; the floats lie in [-scale, scale)
 */
export function patternedFloats(count: number, key: number, scale: number): Float32Array<SharedArrayBuffer> {
  const floats = new Float32Array(new SharedArrayBuffer(4 * count));
  for (let i = 0; i < count; i++) {
    const bits = Math.imul(i + 1, 0x9e3779b1) ^ Math.imul(key, 0x85ebca77);
    floats[i] = ((Math.imul(bits ^ (bits >>> 15), 0x2c1b3c6d) >>> 21) / 1024 - 1) * scale;
  }
  return floats;
}
