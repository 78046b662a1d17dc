// Where the person is: the address, in state that components read.

import { match, type Route, type Table } from "./router";

const TABLE: Table = [
  ["/", "overview"],
  ["/sign-in", "sign-in"],
  ["/link", "link"],
  ["/devices", "devices"],
  ["/devices/:device", "device"],
  ["/add-device", "add-device"],
  ["/log", "log"],
  ["/log/:index", "entry"],
  ["/policy", "policy"],
  ["/policy/:part", "policy"],
  ["/grants", "grants"],
  ["/users", "users"],
  ["/users/:part", "users"],
  ["/settings", "settings"],
];

class Place {
  path = $state(location.pathname);
  query = $state(new URLSearchParams(location.search));
  route: Route = $derived(match(TABLE, this.path));

  read() {
    this.path = location.pathname;
    this.query = new URLSearchParams(location.search);
  }
}

export const place = new Place();

addEventListener("popstate", () => place.read());

/** Goes to a page, as a link to it would. */
export function go(to: string) {
  history.pushState(null, "", to);
  place.read();
  scrollTo(0, 0);
}

/** Says it another way, without a step to go back to. */
export function replace(to: string) {
  history.replaceState(null, "", to);
  place.read();
}

/** Lets links to our own pages be steps within this one. */
export function follow(event: MouseEvent) {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
  const link = (event.target as Element).closest("a");
  if (!link?.href || link.target || link.hasAttribute("download")) return;
  const to = new URL(link.href);
  if (to.origin !== location.origin || to.pathname.startsWith("/api/") || to.hash) return;
  event.preventDefault();
  go(to.pathname + to.search);
}
