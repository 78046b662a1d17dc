import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";
import { dev } from "./dev";

export default defineConfig({
  plugins: [svelte(), dev()],
  build: {
    target: "es2022",
    // The service's Content-Security-Policy takes no inline script, and no style or font from a `data:` address.
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
  },
});
