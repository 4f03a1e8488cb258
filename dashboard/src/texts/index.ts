// The language of the page: as chosen, else as the browser asks. Only its texts are loaded.

import { createI18n, type MessageContext } from "vue-i18n";
import type { DashboardTexts } from "./en.ts";

export const LANGUAGES = { en: "English", zh: "中文" } as const;
export type Language = keyof typeof LANGUAGES;

const TEXTS: Readonly<Record<Language, () => Promise<DashboardTexts>>> = {
  en: async () => (await import("./en.ts")).en,
  zh: async () => (await import("./zh.ts")).zh,
};
const KEY = "omp-language";

/** Our texts have names in braces and nothing else: the library's own compiler would be larger than all of them. */
function messageCompiler(text: unknown): (values: MessageContext) => string {
  return (values) => String(text).replaceAll(/\{(\w+)\}/g, (_, name) => String(values.named(name) ?? ""));
}

export const i18n = createI18n({ legacy: false, locale: preferred(), fallbackLocale: false, messageCompiler });

/** Settles when the page is in that language; absent: as chosen before. Rejects when its texts cannot be loaded. */
export async function setLanguage(language: Language = preferred()): Promise<void> {
  i18n.global.setLocaleMessage(language, await TEXTS[language]());
  i18n.global.locale.value = language;
  localStorage.setItem(KEY, language);
  document.documentElement.lang = language;
}

function preferred(): Language {
  const chosen = localStorage.getItem(KEY);
  if (chosen === "en" || chosen === "zh") return chosen;
  return navigator.language.startsWith("zh") ? "zh" : "en";
}
