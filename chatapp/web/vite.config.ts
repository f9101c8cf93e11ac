import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// The server embeds dist/. Nothing may be inlined: its Content-Security-Policy
// allows scripts and styles from files only.
export default defineConfig({
  plugins: [react()],
  build: {
    outDir: "dist",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: { "/api": "http://127.0.0.1:8080" },
  },
});
