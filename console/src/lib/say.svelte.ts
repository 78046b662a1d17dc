// Short words on what was just done, read out by screen readers and gone after a while.

export const said = $state<{ id: number; text: string }[]>([]);

let next = 0;

export function say(text: string) {
  const id = next++;
  said.push({ id, text });
  setTimeout(() => {
    const at = said.findIndex((one) => one.id === id);
    if (at >= 0) said.splice(at, 1);
  }, 6_000);
}
