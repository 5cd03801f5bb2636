/** A 64-bit hash as it is written everywhere: 16 hexadecimal digits. */
export const hashDigits = (hash: bigint): string => hash.toString(16).padStart(16, '0');
