/** A worker that was taken over: it has a certificate, and speaks HTTP/2 to do harm. */
import { randomBytes } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import {
  callHeaders,
  END_HEADERS,
  END_STREAM,
  fateOf,
  fields,
  frame,
  http2,
  overTls,
  TYPE,
} from './raw-connections.js';
import type { Attack, Target } from './target.js';

const SESSION = '/ropeteam.v1.TrainingService/Session';
const CALLS = '/ropeteam.v1.TrainingService/FetchShard';

/** What HTTP/2 itself does not cut goes after 10 s without a call, or when it answers no ping for 20 s. */
const CUT_WITHIN_MS = 30_000;

const floods = (attack: (socket: TLSSocket) => void) => async (target: Target) => {
  const socket = await http2(target, target.identities.worker);
  attack(socket);
  return await fateOf(socket, CUT_WITHIN_MS);
};
const times = (count: number, make: (index: number) => Buffer) =>
  Buffer.concat(Array.from({ length: count }, (_, index) => make(index)));
const stream = (index: number) => 2 * index + 1;
const wide = Buffer.alloc(4);
wide.writeUInt32BE(0x7fffffff);

export const http2Attacks: readonly Attack[] = [
  {
    name: 'S11 two thousand pings',
    result: 'cut',
    run: floods((socket) => socket.write(times(2_000, () => frame(TYPE.ping, 0, 0, Buffer.alloc(8))))),
  },
  {
    name: 'S12 two thousand settings',
    result: 'cut',
    run: floods((socket) => socket.write(times(2_000, () => frame(TYPE.settings, 0, 0)))),
  },
  {
    name: 'S12 rapid reset: two thousand calls begun and taken back',
    result: 'cut',
    run: floods((socket) =>
      socket.write(
        times(2_000, (index) =>
          Buffer.concat([
            frame(TYPE.headers, END_HEADERS, stream(index), callHeaders(CALLS)),
            frame(TYPE.reset, 0, stream(index), Buffer.from([0, 0, 0, 8])),
          ]),
        ),
      ),
    ),
  },
  {
    name: 'S12 header blocks without an end, four thousand continuations',
    result: 'cut',
    run: floods((socket) => {
      socket.write(frame(TYPE.headers, 0, 1, callHeaders(CALLS)));
      const more = fields([['x-more', 'y'.repeat(100)]]);
      socket.write(times(4_000, () => frame(TYPE.continuation, 0, 1, more)));
    }),
  },
  {
    name: 'S12 a megabyte of headers',
    result: 'cut',
    run: floods((socket) => {
      socket.write(frame(TYPE.headers, 0, 1, callHeaders(CALLS)));
      const more = fields(Array.from({ length: 140 }, (_, index) => [`x-${index}`, 'y'.repeat(100)] as const));
      socket.write(times(70, (index) => frame(TYPE.continuation, index === 69 ? END_HEADERS : 0, 1, more)));
    }),
  },
  {
    name: 'S12 windows opened beyond their limit',
    result: 'cut',
    run: floods((socket) => socket.write(times(1_000, () => frame(TYPE.window, 0, 0, wide)))),
  },
  {
    name: 'S12 a frame that says it has sixteen megabytes',
    result: 'cut',
    run: floods((socket) => socket.write(Buffer.from('ffffff000000000001', 'hex'))),
  },
  {
    name: 'S12 frames on a stream that nobody opened',
    result: 'cut',
    run: floods((socket) => socket.write(frame(TYPE.data, 0, 7, Buffer.alloc(100)))),
  },
  {
    name: 'S12 a stream with an even number',
    result: 'cut',
    run: floods((socket) => socket.write(frame(TYPE.headers, END_HEADERS, 2, callHeaders(CALLS)))),
  },
  {
    name: 'S12 header compression that refers to nothing',
    result: 'cut',
    run: floods((socket) => socket.write(frame(TYPE.headers, END_HEADERS, 1, Buffer.from([0xff, 0xff, 0xff, 0x7f])))),
  },
  {
    name: 'S12 ten thousand empty frames in a call',
    result: 'cut',
    run: floods((socket) => {
      socket.write(frame(TYPE.headers, END_HEADERS, 1, callHeaders(SESSION)));
      socket.write(times(10_000, () => frame(TYPE.data, 0, 1)));
    }),
  },
  {
    name: 'S12 noise after the preface',
    result: 'cut',
    run: floods((socket) => socket.write(randomBytes(1 << 16))),
  },
  {
    name: 'S10 a thousand sessions at once on one connection',
    result: 'cut',
    run: floods((socket) =>
      socket.write(times(1_000, (index) => frame(TYPE.headers, END_HEADERS, stream(index), callHeaders(SESSION)))),
    ),
  },
  {
    name: 'S10 a certificate, and then silence',
    result: 'cut',
    run: async (target) => await fateOf(await overTls(target, target.identities.worker), CUT_WITHIN_MS),
  },
  {
    name: 'S10 a call whose answer is never read',
    result: 'cut',
    run: async (target) => {
      const socket = await http2(target, target.identities.worker);
      socket.pause();
      socket.write(frame(TYPE.headers, END_HEADERS | END_STREAM, 1, callHeaders(SESSION)));
      return await fateOf(socket, CUT_WITHIN_MS);
    },
  },
];
