import { expect, test } from 'vitest';
import { type Clock, watchSilence } from './silence-watch.js';

/** A clock that is moved by hand. `oversleep` moves it without letting timers run, as a stopped process would see it. */
function handClock() {
  let now = 0;
  let timers: { at: number; task: () => void }[] = [];
  let polls: (() => void)[] = [];
  const clock: Clock = {
    now: () => now,
    after: (delayMs, task) => {
      const timer = { at: now + delayMs, task };
      timers.push(timer);
      return () => {
        timers = timers.filter((other) => other !== timer);
      };
    },
    afterPoll: (task) => void polls.push(task),
  };
  const poll = () => {
    const due = polls;
    polls = [];
    for (const task of due) task();
  };
  const fire = () => {
    const due = timers.filter(({ at }) => at <= now);
    timers = timers.filter(({ at }) => at > now);
    for (const { task } of due) task();
  };
  return {
    clock,
    timers: () => timers.length,
    poll,
    fire,
    oversleep: (ms: number) => {
      now += ms;
    },
    advance: (ms: number) => {
      for (let passed = 0; passed < ms; passed++) {
        now++;
        fire();
        poll();
      }
    },
  };
}

function watched(silenceMs: number) {
  const hand = handClock();
  const lost: number[] = [];
  const watch = watchSilence(silenceMs, (silentMs) => lost.push(silentMs), hand.clock);
  return { ...hand, lost, watch };
}

test('a peer is lost after the whole silence, once, and not before', () => {
  const { advance, lost } = watched(2000);
  advance(1999);
  expect(lost).toEqual([]);
  advance(1);
  expect(lost).toEqual([2000]);
  advance(10_000);
  expect(lost).toEqual([2000]);
});

test('every message starts the silence anew', () => {
  const { advance, lost, watch } = watched(2000);
  for (let beat = 0; beat < 10; beat++) {
    advance(1500);
    watch.heard();
  }
  expect(lost).toEqual([]);
  advance(2000);
  expect(lost).toEqual([2000]);
});

test('a message that lies unread when the time is up still counts', () => {
  const { oversleep, fire, poll, advance, lost, watch } = watched(2000);
  oversleep(2000);
  fire(); // the timer comes before the socket is read...
  watch.heard(); // ...which happens now...
  poll(); // ...and only then is judged
  expect(lost).toEqual([]);
  advance(2000);
  expect(lost).toEqual([2000]);
});

test('a process that slept itself gives its peer another whole period', () => {
  const { oversleep, fire, poll, advance, lost } = watched(2000);
  oversleep(60_000);
  fire();
  poll();
  expect(lost).toEqual([]);
  advance(1999);
  expect(lost).toEqual([]);
  advance(1);
  expect(lost).toEqual([62_000]);
});

test('a stopped watch holds no timer and says nothing', () => {
  const { advance, lost, watch, timers } = watched(2000);
  watch.stop();
  expect(timers()).toBe(0);
  advance(5000);
  expect(lost).toEqual([]);
});
