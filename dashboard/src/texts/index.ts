// The language of the page: as chosen, else as the browser asks.

import { createI18n } from "vue-i18n";
import { en } from "./en.ts";
import { zh } from "./zh.ts";

export const LANGUAGES = { en: "English", zh: "中文" } as const;
export type Language = keyof typeof LANGUAGES;

const KEY = "omp-language";

export const i18n = createI18n({ legacy: false, locale: preferred(), fallbackLocale: "en", messages: { en, zh } });

export function setLanguage(language: Language): void {
  i18n.global.locale.value = language;
  localStorage.setItem(KEY, language);
  document.documentElement.lang = language;
}

function preferred(): Language {
  const chosen = localStorage.getItem(KEY);
  if (chosen === "en" || chosen === "zh") return chosen;
  return navigator.language.startsWith("zh") ? "zh" : "en";
}
