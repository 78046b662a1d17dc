// Light or dark: as the system says, unless the person chose.

export type Choice = "system" | "light" | "dark";

const KEY = "thingward:theme";

class Theme {
  choice = $state<Choice>("system");
  private readonly dark = matchMedia("(prefers-color-scheme: dark)");
  private systemIsDark = $state(this.dark.matches);
  isDark = $derived(this.choice === "dark" || (this.choice === "system" && this.systemIsDark));

  constructor() {
    const kept = localStorage.getItem(KEY);
    if (kept === "light" || kept === "dark") this.choice = kept;
    this.dark.addEventListener("change", () => (this.systemIsDark = this.dark.matches));
    this.apply();
  }

  choose(choice: Choice) {
    this.choice = choice;
    if (choice === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, choice);
    this.apply();
  }

  private apply() {
    if (this.choice === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = this.choice;
  }
}

export const theme = new Theme();
