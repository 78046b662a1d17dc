// The time, for what is said in relation to it.

class Clock {
  now = $state(Date.now());
}

export const clock = new Clock();

setInterval(() => {
  clock.now = Date.now();
}, 5_000);
