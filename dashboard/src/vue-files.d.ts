// What TypeScript does not know by itself: components are known to vue-tsc.

declare module "*.css";
