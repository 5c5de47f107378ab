/** The engine's own version: package.json's. */
export const ENGINE_VERSION = '0.1.0';
