import { defineConfig } from '@playwright/test'

/**
 * One browser, one worker, the journeys in the order of their files: they share one instance, whose
 * accounts are few (five) and which has two cores.
 */
export default defineConfig({
  testDir: 'tests',
  outputDir: 'results/artifacts',
  globalSetup: './support/setup.ts',
  globalTimeout: 12 * 60_000,
  timeout: 120_000,
  expect: { timeout: 30_000 },
  workers: 1,
  grep: process.env.ARISTOBOT_GUIDE === 'write' ? /the guide/ : undefined, // its pictures want an untouched instance
  fullyParallel: false,
  forbidOnly: Boolean(process.env.CI),
  reporter: 'list',
  use: {
    locale: 'fr-FR',
    timezoneId: 'Europe/Paris',
    viewport: { width: 1920, height: 1080 },
    screenshot: 'only-on-failure',
    trace: { mode: 'retain-on-failure', screenshots: false, sources: false },
    actionTimeout: 30_000,
  },
})
