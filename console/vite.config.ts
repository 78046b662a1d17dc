import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";
import { licences } from "./licences.mjs";

export default defineConfig({
  plugins: [svelte(), licences()],
  build: {
    target: "es2022",
    // The service's Content-Security-Policy takes no inline script, and no style or font from a `data:` address.
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    // The console, and the page for whoever stands before a device.
    rollupOptions: { input: ["index.html", "near.html"] },
  },
  server: { proxy: { "/api": "http://127.0.0.1:8480" } },
});
