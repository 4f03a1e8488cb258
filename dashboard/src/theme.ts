// Light or dark: as chosen, else as the system has it.

import { ref } from "vue";

const KEY = "omp-theme";

const system = matchMedia("(prefers-color-scheme: dark)");
const chosen = localStorage.getItem(KEY);

export const isDark = ref(chosen === null ? system.matches : chosen === "dark");

export function applyTheme(): void {
  document.documentElement.classList.toggle("dark", isDark.value);
}

export function setDark(dark: boolean): void {
  isDark.value = dark;
  localStorage.setItem(KEY, dark ? "dark" : "light");
  applyTheme();
}
