/** XXH64 with seed 0. Source: Yann Collet, "xxHash fast digest algorithm", specification version 0.1.1. */
const PRIME_1: u64 = 0x9e3779b185ebca87;
const PRIME_2: u64 = 0xc2b2ae3d27d4eb4f;
const PRIME_3: u64 = 0x165667b19e3779f9;
const PRIME_4: u64 = 0x85ebca77c2b2ae63;
const PRIME_5: u64 = 0x27d4eb2f165667c5;

/** See `Routines.hash`. */
export function hash(address: usize, bytes: usize): u64 {
  const end = address + bytes;
  let state = PRIME_5;
  if (bytes >= 32) {
    let lane1 = PRIME_1 + PRIME_2;
    let lane2 = PRIME_2;
    let lane3: u64 = 0;
    let lane4: u64 = 0 - PRIME_1;
    for (const stripes = address + (bytes & ~31); address < stripes; address += 32) {
      lane1 = absorb(lane1, load<u64>(address));
      lane2 = absorb(lane2, load<u64>(address, 8));
      lane3 = absorb(lane3, load<u64>(address, 16));
      lane4 = absorb(lane4, load<u64>(address, 24));
    }
    state = rotl<u64>(lane1, 1) + rotl<u64>(lane2, 7) + rotl<u64>(lane3, 12) + rotl<u64>(lane4, 18);
    state = (state ^ absorb(0, lane1)) * PRIME_1 + PRIME_4;
    state = (state ^ absorb(0, lane2)) * PRIME_1 + PRIME_4;
    state = (state ^ absorb(0, lane3)) * PRIME_1 + PRIME_4;
    state = (state ^ absorb(0, lane4)) * PRIME_1 + PRIME_4;
  }
  state += <u64>bytes;
  let rest = <i32>(bytes & 31);
  for (; rest >= 8; rest -= 8) {
    state = rotl<u64>(state ^ absorb(0, load<u64>(address)), 27) * PRIME_1 + PRIME_4;
    address += 8;
  }
  if (rest >= 4) {
    state = rotl<u64>(state ^ (<u64>load<u32>(address) * PRIME_1), 23) * PRIME_2 + PRIME_3;
    address += 4;
  }
  for (; address < end; address++) {
    state = rotl<u64>(state ^ (<u64>load<u8>(address) * PRIME_5), 11) * PRIME_1;
  }
  state = (state ^ (state >> 33)) * PRIME_2;
  state = (state ^ (state >> 29)) * PRIME_3;
  return state ^ (state >> 32);
}

@inline
function absorb(lane: u64, input: u64): u64 {
  return rotl<u64>(lane + input * PRIME_2, 31) * PRIME_1;
}
