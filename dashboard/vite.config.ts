// Builds the dashboard into ../_build/dashboard: files with hashes in their names, each compressed beside itself.

import vue from "@vitejs/plugin-vue";
import { defineConfig } from "vite";
import { compressed } from "./build/compressed.ts";

export default defineConfig({
  plugins: [vue(), compressed()],
  // What the texts do not need.
  define: {
    __INTLIFY_DROP_MESSAGE_COMPILER__: true,
    __VUE_I18N_LEGACY_API__: false,
    __VUE_I18N_FULL_INSTALL__: false,
  },
  build: {
    outDir: "../_build/dashboard",
    emptyOutDir: true,
    // What is small stays a file too: the content-security policy knows no data: scripts or fonts.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 700,
  },
});
