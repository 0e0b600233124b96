import { fileURLToPath, URL } from 'node:url'
import vue from '@vitejs/plugin-vue'
import Icons from 'unplugin-icons/vite'
import type { Plugin } from 'vite'
import { defineConfig } from 'vitest/config'
import { tokensCss } from './src/design-system/css.ts'

const backend = process.env.ARISTOBOT_BACKEND ?? 'http://127.0.0.1:8000'

/** Serves `virtual:tokens.css`, generated from tokens.ts, so that colours are written once. */
function tokensPlugin(): Plugin {
  const id = 'virtual:tokens.css'
  return {
    name: 'aristobot-tokens',
    resolveId: (source) => (source === id ? `\0${id}` : undefined),
    load: (source) => (source === `\0${id}` ? tokensCss() : undefined),
  }
}

export default defineConfig({
  plugins: [vue(), Icons({ compiler: 'vue3', scale: 1 }), tokensPlugin()],
  resolve: { alias: { '@': fileURLToPath(new URL('./src', import.meta.url)) } },
  build: { outDir: 'dist', assetsDir: 'assets', target: 'es2022' },
  server: {
    host: process.env.ARISTOBOT_HOST ?? '127.0.0.1',
    port: Number(process.env.ARISTOBOT_FRONT_PORT ?? 5173),
    proxy: { '/api': backend, '/ws': { target: backend, ws: true } },
  },
  test: { environment: 'happy-dom', include: ['src/**/*.spec.ts'], setupFiles: ['src/testing/setup.ts'], testTimeout: 30_000, restoreMocks: true },
})
